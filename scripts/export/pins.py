"""Known checkpoints: the default revision of each, and its bytes. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from files import File, Refused, is_code, read_json

LIST = Path(__file__).with_name("pinned.json")


@dataclass(frozen=True)
class Pin:
    revision: str
    sha256: dict[str, str] = field(default_factory=dict)


def read_pins(path: Path) -> dict[str, Pin]:
    try:
        return {
            name: Pin(entry["revision"], entry.get("sha256", {}))
            for name, entry in read_json(path)["checkpoints"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise Refused(
            f'{path}: expected {{"checkpoints": {{NAME: {{"revision": …, "sha256": {{FILE: HASH}}}}}}}}'
        ) from error


def pinned_revision(pins: dict[str, Pin], repository: str, asked: str | None) -> str:
    """A full commit id: a branch or a tag may mean other code tomorrow."""
    revision = asked or (pins[repository].revision if repository in pins else None)
    if revision is None:
        raise Refused(f"{repository}: no revision is known for it; give one with --revision (40 hex digits)")
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise Refused(
            f'--revision is "{revision}"; expected a commit of 40 hex digits, since a name can move'
        )
    return revision


def check_pinned(pins: dict[str, Pin], repository: str, revision: str, files: list[File]) -> None:
    """Refuses a known revision whose bytes are not the known ones: the hub or the mirror has changed."""
    pin = pins.get(repository)
    if pin is None or pin.revision != revision:
        return
    for file in files:
        wanted = pin.sha256.get(file.name)
        if wanted is not None and wanted != file.sha256:
            raise Refused(
                f"{file.name}: SHA-256 is {file.sha256}, {repository} at {revision} is pinned with {wanted}"
            )


def is_pinned_code(pins: dict[str, Pin], files: list[File]) -> bool:
    """Whether every Python file is, byte for byte, one of the same known checkpoint."""
    code = [file for file in files if is_code(file.name)]
    return bool(code) and any(
        all(pin.sha256.get(file.name) == file.sha256 for file in code) for pin in pins.values()
    )
