"""A local Hugging Face hub with one repository and one revision, served like the real one."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WEIGHTS = ".safetensors"


class FakeHub:
    """Serves `folder` as `repository` at `revision`, and `others`. `tampered` maps names to the bytes that are sent instead of what is listed."""

    def __init__(self, folder: Path, repository: str, revision: str):
        self.folder, self.repository, self.revision = folder, repository, revision
        self.tampered: dict[str, bytes] = {}
        self.others: dict[str, tuple[Path, str]] = {}  # further repositories: folder and revision
        self.breaks_after: int | None = None  # bytes of weights in one answer, before the connection is cut
        self.ranges: list[int] = []  # where answers to weights began
        self.requests: list[tuple[str, str, str | None]] = []  # method, path, Authorization

    def __enter__(self) -> FakeHub:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                try:
                    hub.answer(self)
                except BrokenPipeError:
                    self.close_connection = True  # whoever asked was stopped

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def asked_for(self, name: str) -> bool:
        return any(path.endswith(name) for _, path, _ in self.requests)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.split("?")[0]
        self.requests.append((request.command, path, request.headers.get("Authorization")))
        for repository, (folder, revision) in {
            self.repository: (self.folder, self.revision),
            **self.others,
        }.items():
            files = f"/{repository}/resolve/{revision}/"
            if path == f"/api/models/{repository}/revision/{revision}":
                return self.send(
                    request,
                    200,
                    json.dumps(listing(repository, folder, revision)).encode(),
                    {"Content-Type": "application/json"},
                )
            file = folder / path.removeprefix(files)
            if path.startswith(files) and file.is_file():
                listed = file.read_bytes()
                tag = hashlib.sha256(listed).hexdigest() if file.name.endswith(WEIGHTS) else git_blob(listed)
                return self.send_file(
                    request,
                    self.tampered.get(file.name, listed),
                    {"ETag": f'"{tag}"', "X-Repo-Commit": revision},
                    file,
                )
        self.send(request, 404, b"", {"X-Error-Code": "RepoNotFound"})

    def send_file(
        self, request: BaseHTTPRequestHandler, data: bytes, headers: dict[str, str], file: Path
    ) -> None:
        start = int((request.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        is_weights = file.name.endswith(WEIGHTS)
        if is_weights and request.command == "GET":
            self.ranges.append(start)
        partial = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        cut = self.breaks_after if is_weights else None
        self.send(
            request,
            206 if start else 200,
            data[start:],
            {**headers, **partial},
            cut if cut is None else max(0, cut - start),
        )

    def send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: dict[str, str],
        cut: int | None = None,
    ) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body[:cut])
        if cut is not None:
            request.close_connection = True


def listing(repository: str, folder: Path, revision: str) -> dict:
    siblings = []
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        entry = {"rfilename": file.name, "size": len(data), "blobId": git_blob(data)}
        if file.name.endswith(WEIGHTS):
            entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        siblings.append(entry)
    return {
        "id": repository,
        "modelId": repository,
        "sha": revision,
        "private": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": siblings,
    }


def git_blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
