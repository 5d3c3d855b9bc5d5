"""A Hugging Face hub on this machine: one repository, one revision, served as the real one does it."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WEIGHTS = ".safetensors"


class FakeHub:
    """Serves `folder` as `repository` at `revision`. `tampered` maps names to the bytes that are sent instead of what is listed."""

    def __init__(self, folder: Path, repository: str, revision: str):
        self.folder, self.repository, self.revision = folder, repository, revision
        self.tampered: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str | None]] = []  # method, path, Authorization

    def __enter__(self) -> FakeHub:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

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
        files = f"/{self.repository}/resolve/{self.revision}/"
        if path == f"/api/models/{self.repository}/revision/{self.revision}":
            return self.send(request, 200, json.dumps(self.listing()).encode(), {"Content-Type": "application/json"})
        file = self.folder / path.removeprefix(files)
        if path.startswith(files) and file.is_file():
            listed = file.read_bytes()
            tag = hashlib.sha256(listed).hexdigest() if file.name.endswith(WEIGHTS) else git_blob(listed)
            return self.send(request, 200, self.tampered.get(file.name, listed), {"ETag": f'"{tag}"', "X-Repo-Commit": self.revision})
        self.send(request, 404, b"", {"X-Error-Code": "RepoNotFound"})

    def listing(self) -> dict:
        siblings = []
        for file in sorted(self.folder.iterdir()):
            data = file.read_bytes()
            entry = {"rfilename": file.name, "size": len(data), "blobId": git_blob(data)}
            if file.name.endswith(WEIGHTS):
                entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        return {"id": self.repository, "modelId": self.repository, "sha": self.revision, "private": False, "tags": [], "downloads": 0,
                "likes": 0, "siblings": siblings}

    def send(self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)


def git_blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
