"""What a checkpoint folder holds: names, sizes and hashes, and one fingerprint of the code in it. Standard library only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WEIGHTS = ".safetensors"
WANTED = (
    ".py",
    ".json",
    ".txt",
    ".md",
    WEIGHTS,
)  # never pickles: unpickling runs code that was not shown to the user
PIECE = 1 << 20  # bytes that are read at a time
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class Refused(Exception):
    """Stops the export; the message says why and what was expected."""


@dataclass(frozen=True)
class File:
    name: str
    bytes: int
    sha256: str


def is_wanted(name: str) -> bool:
    return "/" not in name and (name.endswith(WANTED) or name.upper().startswith("LICENSE"))


def is_code(name: str) -> bool:
    return name.endswith(".py")


def sha256(path: Path, seen: Callable[[int], object] = lambda count: None) -> str:
    """`seen` is told how many bytes were read since it was told last."""
    found, piece = hashlib.sha256(), memoryview(bytearray(PIECE))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            found.update(piece[:count])
            seen(count)
    return found.hexdigest()


def wanted_files(folder: Path, choose: Callable[[str], bool] = lambda name: True) -> list[Path]:
    """The chosen files of a checkpoint's folder."""
    return sorted(
        path for path in folder.iterdir() if path.is_file() and is_wanted(path.name) and choose(path.name)
    )


def list_files(
    folder: Path,
    choose: Callable[[str], bool] = lambda name: True,
    seen: Callable[[int], object] = lambda count: None,
) -> list[File]:
    return [File(path.name, path.stat().st_size, sha256(path, seen)) for path in wanted_files(folder, choose)]


def fingerprint(files: list[File]) -> str:
    """Sixteen hex digits that identify this code: they change with any byte of any Python file."""
    listing = "".join(f"{file.sha256}  {file.name}\n" for file in files if is_code(file.name))
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


def table(files: list[File]) -> str:
    lines = [f"  {file.sha256}  {file.bytes:>13,}  {file.name}" for file in files]
    return "\n".join(lines)


def read_json(path: Path) -> dict:
    """The object in `path`; anything else in it is refused by the file's name."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Refused(f"{path.name} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise Refused(f"{path.name} holds a {type(content).__name__}; expected an object")
    return content


def local_classes(content: dict, folder: Path, file: str) -> dict:
    """`content` with the classes of its auto_map named as modules of `folder`.

    A fine-tuned snapshot often carries the files of its base and still names them "owner/name--module.Class", which
    means: fetch the code of that repository. Only what was listed may run, so the folder's own file is taken, and a
    class whose file is not in the folder is refused.
    """

    def local(key: str, name: str | None) -> str | None:
        if not name or "--" not in name:
            return name
        repository, reference = name.split("--", 1)
        module = reference.rsplit(".", 1)[0] + ".py"
        if not (folder / module).is_file():
            raise Refused(
                f'{file}: auto_map["{key}"] is "{name}", code of another repository; expected {module} in this folder: '
                f"copy the Python files of {repository} beside the weights"
            )
        return reference

    names = content.get("auto_map")
    if not isinstance(names, dict):
        return content
    return {
        **content,
        "auto_map": {
            key: [local(key, name) for name in value] if isinstance(value, list) else local(key, value)
            for key, value in names.items()
        },
    }
