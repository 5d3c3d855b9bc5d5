"""Limits the network of the process that runs the checkpoint's code to a hub with a few known files.

Code descended from BLIP-2 asks the hub for BERT's configuration while it loads. That answer is known and kept here. Any
other request is recorded and refused, so that the error names the request instead of a lost connection.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

import huggingface_hub
import requests
import urllib3
from requests.adapters import BaseAdapter

# The published configuration of bert-base-uncased. Its weights are not needed: the checkpoint holds its own.
BERT_BASE = {
    "architectures": ["BertForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "gradient_checkpointing": False,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "use_cache": True,
    "vocab_size": 30522,
}
KNOWN = {
    name: {"config.json": json.dumps(BERT_BASE, indent=2).encode()}
    for name in ("bert-base-uncased", "google-bert/bert-base-uncased")
}
NO_COMMIT = "0" * 40  # of the files above, which come from no commit
ESSENTIAL = (".safetensors", ".bin", "vocab.txt", "tokenizer.json")
FILE = re.compile(r"/(?P<repository>[^/]+(?:/[^/]+)?)/resolve/[^/]+/(?P<name>.+)")
LISTING = re.compile(r"/api/models/(?P<repository>[^/]+(?:/[^/]+)?)/(?:tree|revision)/(?P<name>.+)")


class Hub(BaseAdapter):
    """Replaces the network under huggingface_hub. `allowed`: folders of other repositories, by name."""

    def __init__(self, allowed: dict[str, Path]):
        super().__init__()
        self.allowed = allowed
        self.refused: list[str] = []

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
        path = unquote(urlsplit(request.url).path)
        asked = FILE.fullmatch(path) or LISTING.fullmatch(path)
        file = self.find(asked["repository"], asked["name"]) if asked and asked.re is FILE else None
        if file is not None:
            length = file.seek(0, os.SEEK_END)
            start = re.fullmatch(r"bytes=(\d+)-.*", request.headers.get("Range", ""))
            file.seek(int(start[1]) if start else 0)
            tag = hashlib.sha256(f"{path} {length}".encode()).hexdigest()
            return answer(
                request,
                200,
                {"ETag": f'"{tag}"', "X-Repo-Commit": NO_COMMIT, "Content-Length": str(length)},
                file,
            )
        is_known = asked is not None and (asked["repository"] in KNOWN or asked["repository"] in self.allowed)
        # A small file that a repository does not have is an ordinary answer: the hub's own client asks for what may be there.
        if not is_known or asked["name"].endswith(ESSENTIAL):
            self.note(
                f"{asked['repository']}: {asked['name'] if asked.re is FILE else 'its list of files'}"
                if asked
                else path
            )
        return answer(
            request, 404, {"X-Error-Code": "EntryNotFound" if is_known else "RepoNotFound"}, io.BytesIO()
        )

    def find(self, repository: str, name: str) -> BinaryIO | None:
        file = self.allowed[repository] / name if repository in self.allowed else None
        if file is not None and file.is_file() and "/" not in name:
            return file.open("rb")
        known = KNOWN.get(repository, {}).get(name)
        return None if known is None else io.BytesIO(known)

    def note(self, what: str) -> None:
        if what not in self.refused:
            self.refused.append(what)

    def close(self) -> None:
        pass

    def explain(self) -> str:
        """Names the refused requests and how to allow them; empty when there were none."""
        if not self.refused:
            return ""
        advice = []
        repositories = sorted({what.split(": ")[0] for what in self.refused if ": " in what})
        if repositories:
            advice.append(
                "allow one with "
                + " ".join(f"--allow {name}@COMMIT" for name in repositories)
                + ", which brings its configuration, tokenizer and safetensors of that commit and no code"
            )
        if any(": " not in what for what in self.refused):
            advice.append(
                "a file that torch fetches from a web address is found when you put it into TORCH_HOME/hub/checkpoints yourself"
            )
        return (
            f"the checkpoint's code asked the network for {'; '.join(self.refused)}, which it does not get here; "
            + "; ".join(advice)
        )


def answer(
    request: requests.PreparedRequest, status: int, headers: dict[str, str], body: BinaryIO
) -> requests.Response:
    response = requests.Response()
    response.request, response.url, response.status_code = request, request.url, status
    response.headers.update(headers)
    response.raw = urllib3.HTTPResponse(body=body, headers=headers, status=status, preload_content=False)
    return response


def install(allowed: dict[str, Path]) -> Hub:
    """Blocks the network of this process, except for the known files. It cannot be undone, as an audit hook cannot be removed."""
    hub = Hub(allowed)

    def session() -> requests.Session:
        made = requests.Session()
        for scheme in ("https://", "http://"):
            made.mount(scheme, hub)
        return made

    huggingface_hub.configure_http_backend(session)

    def refuse(event: str, arguments: tuple) -> None:
        for target in targets(event, arguments):
            hub.note(target)
            raise ConnectionRefusedError(
                f"the exporter keeps the checkpoint's code off the network; it asked for {target}"
            )

    sys.addaudithook(refuse)
    return hub


def targets(event: str, arguments: tuple) -> Iterator[str]:
    if event == "urllib.Request":
        yield str(arguments[0])
    elif event == "socket.getaddrinfo":
        yield f"{arguments[0]}"
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        yield f"{arguments[1][0]}"
