"""Checks disk space and memory, and refuses with one sentence before they run out. Standard library only."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

from files import Refused


def gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 or count == 0 else f"{count / 1e6:.1f} MB"


def existing(path: Path) -> Path:
    """The nearest ancestor that exists, or `path` itself."""
    return next(parent for parent in (path, *path.parents) if parent.exists())


def folder_bytes(folder: Path) -> int:
    """The bytes of all files below `folder`, some of which may go away meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                pass
    return total


def remove_stale(parent: Path, prefix: str) -> None:
    """Removes what killed runs left: folders named `prefix` and the number of a process that is gone."""
    for path in parent.glob(f"{prefix}*"):
        pid = path.name.removeprefix(prefix)
        if pid.isdigit() and not Path("/proc", pid).exists():
            print(f"removing {path}, which a run left that was killed", file=sys.stderr, flush=True)
            shutil.rmtree(path, ignore_errors=True)


def require_disk(needs: list[tuple[Path, float, str]]) -> str:
    """`needs`: where, how many bytes, for what. Adds up what lies on one disk. @returns them as text; raises Refused."""
    disks: dict[int, list[tuple[Path, float, str]]] = {}
    for place, count, what in needs:
        place = existing(place)
        disks.setdefault(place.stat().st_dev, []).append((place, count, what))
    told = []
    for entries in disks.values():
        place, total = entries[0][0], sum(count for _, count, _ in entries)
        free = shutil.disk_usage(place).free
        what = " and ".join(f"{gigabytes(count)} for {what}" for _, count, what in entries)
        if free < total:
            raise Refused(f"the disk of {place} has {gigabytes(free)} free; {what} are needed")
        told.append(f"{what} on the disk of {place} ({gigabytes(free)} free)")
    return "; ".join(told)


def available_memory() -> int | None:
    """Bytes that this process may still take: of the machine, or of the container it is in."""
    left = []
    meminfo = Path("/proc/meminfo")
    for line in meminfo.read_text().splitlines() if meminfo.exists() else ():
        if line.startswith("MemAvailable:"):
            left.append(int(line.split()[1]) * 1024)
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    try:
        left.append(int(limit.read_text()) - int(used.read_text()))
    except (OSError, ValueError):
        pass  # no container, or one without a limit
    return min(left, default=None)


def check_out(out: Path) -> None:
    """Raises Refused when the bundle's folder could not be made."""
    parent = existing(out.parent)
    if not parent.is_dir():
        raise Refused(f"--out {out}: {parent} is a file; expected a folder")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise Refused(f"--out {out}: {parent} cannot be written to")


def sentence(error: OSError, place: Path) -> str:
    """Explains an error of the operating system."""
    where = error.filename or place
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(existing(place)).free
        return (
            f"the disk is full: {where} could not be written ({gigabytes(free)} free on the disk of {place})"
        )
    return f"{where}: {error.strerror or error}"
