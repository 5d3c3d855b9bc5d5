"""What a checkpoint folder holds: names, sizes and hashes, and one fingerprint of the code in it. Standard library only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

WEIGHTS = ".safetensors"
WANTED = (".py", ".json", ".txt", ".md", WEIGHTS)  # never pickles: unpickling runs code that nobody was shown


class Refused(Exception):
    """The export will not go on; the message says why and what would be right."""


@dataclass(frozen=True)
class File:
    name: str
    bytes: int
    sha256: str


def is_wanted(name: str) -> bool:
    return "/" not in name and (name.endswith(WANTED) or name.upper().startswith("LICENSE"))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_files(folder: Path) -> list[File]:
    paths = sorted(path for path in folder.iterdir() if path.is_file() and is_wanted(path.name))
    return [File(path.name, path.stat().st_size, sha256(path)) for path in paths]


def fingerprint(files: list[File]) -> str:
    """Sixteen hex digits that stand for exactly this code: they change with any byte of any Python file."""
    listing = "".join(f"{file.sha256}  {file.name}\n" for file in files if file.name.endswith(".py"))
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


def check_names(folder: Path) -> None:
    """Refuses a configuration that would fetch code from elsewhere: only what was listed may run."""
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text())
        except ValueError as error:
            raise Refused(f"{path.name} is not JSON: {error}") from error
        names = content.get("auto_map", {}) if isinstance(content, dict) else {}
        for key, value in names.items():
            for name in value if isinstance(value, list) else [value]:
                if name and "--" in name:
                    raise Refused(f'{path.name}: auto_map["{key}"] is "{name}", code of another repository; expected a module in this folder')


def table(files: list[File]) -> str:
    lines = [f"  {file.sha256}  {file.bytes:>13,}  {file.name}" for file in files]
    return "\n".join(lines)
