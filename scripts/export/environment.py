"""A virtual environment per set of pinned requirements, made on first use. Standard library only.

python3 environment.py REQUIREMENTS ARGUMENTS…      runs that environment's python with ARGUMENTS
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from space import folder_bytes, gigabytes, remove_stale
from steps import duration, telling

# For every Python that is started from here: ONNX Runtime sends telemetry unless it is told before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

OLDEST, NEWEST = (3, 11), (3, 13)  # what the pinned packages have wheels for


@dataclass(frozen=True)
class Expected:
    """Bytes of an installation: downloaded, and unpacked."""

    download: float
    unpacked: float

    @property
    def disk(self) -> float:
        """While it is made: what was downloaded stays until it is unpacked, and pip keeps a copy in its cache."""
        cached = 0 if os.environ.get("PIP_NO_CACHE_DIR") else self.download
        return self.download + self.unpacked + cached

    @property
    def required(self) -> float:
        """Nothing where another package index is named: packages for CPUs come from one, and are much smaller."""
        return 0 if os.environ.get("PIP_EXTRA_INDEX_URL") else self.disk


def folder_of(requirements: Path) -> Path:
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return cache / "cosmos-embed" / f"{requirements.parent.name}-{version}-{digest}"


def disk_needed(requirements: Path, expected: Expected) -> list[tuple[Path, float, str]]:
    """What making the environment still takes, as `space.require_disk` wants it."""
    folder = folder_of(requirements)
    made = os.environ.get("COSMOS_EMBED_PYTHON") or (folder / "bin" / "python").exists()
    return [] if made else [(folder, expected.required, "the Python packages")]


def python_for(requirements: Path, needs: str, expected: Expected | None = None) -> Path:
    """The interpreter that has `requirements`. `needs` is printed before anything is downloaded.

    COSMOS_EMBED_PYTHON names an interpreter that has them already; no environment is made then.
    """
    given = os.environ.get("COSMOS_EMBED_PYTHON")
    if given:
        if shutil.which(given) is None:
            raise SystemExit(f"COSMOS_EMBED_PYTHON is {given}, which is no program")
        return Path(given)
    folder = folder_of(requirements)
    python = folder / "bin" / "python"
    if python.exists():
        return python
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise SystemExit(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} ({sys.executable}) cannot run the pinned packages; expected "
            f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}: name such an interpreter with --python, for example "
            "--python python3.12, or one that has the packages with COSMOS_EMBED_PYTHON"
        )
    remove_stale(folder.parent, f"{folder.name}.partial-")
    place = next(parent for parent in folder.parents if parent.exists())
    free = shutil.disk_usage(place).free
    if expected is not None and free < expected.required:
        raise SystemExit(
            f"the disk of {place} has {gigabytes(free)} free, installing the Python packages takes {gigabytes(expected.disk)}; "
            "free some, set XDG_CACHE_HOME to a folder on another disk, or PIP_NO_CACHE_DIR=1, which saves a copy of the downloads"
        )
    print(f"first use: making a virtual environment in {folder}\n{needs}", file=sys.stderr, flush=True)
    # Made under another name and renamed when whole: only bin/python is used, which does not mind.
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    try:
        with telling(lambda elapsed: f"making the environment: {duration(elapsed)} so far"):
            run(
                [sys.executable, "-m", "venv", str(partial)],
                "on Debian and Ubuntu install python3-venv, or name another interpreter with --python",
            )
        install(partial, requirements, expected)
        if not python.exists():  # else another process was faster
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return python


def install(folder: Path, requirements: Path, expected: Expected | None) -> None:
    """Runs pip, and says how far it is: into a pipe it shows no progress of its own."""
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    downloads = folder / "downloads"  # on the disk whose space was checked, and counted here
    downloads.mkdir()
    pip = subprocess.Popen(
        [*command, "-r", str(requirements)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(downloads)},
    )
    progress = Progress(downloads, next((folder / "lib").glob("python*")), expected)
    reader = threading.Thread(target=progress.read, args=(pip.stdout,), daemon=True)
    reader.start()
    try:
        with telling(progress.line):
            pip.wait()
    except BaseException:  # stopped: pip must not write on into a folder that is being removed
        pip.terminate()
        pip.wait()
        raise
    reader.join()
    if pip.returncode != 0:
        advice = "pip's words above say why; run again when that is mended"
        raise SystemExit(f"{' '.join(command[:4])} … ended with code {pip.returncode}: {advice}")
    shutil.rmtree(downloads)


class Progress:
    """How far an installation is, by what lies on the disk."""

    def __init__(self, downloads: Path, packages: Path, expected: Expected | None):
        self.downloads, self.packages, self.expected = downloads, packages, expected
        self.first, self.unpacking = folder_bytes(packages), False
        self.began = 0.0  # seconds after the begin of the whole: of unpacking

    def read(self, lines: Iterable[str]) -> None:
        """Passes pip's words on, and learns from them."""
        for line in lines:
            if line.startswith("Installing collected packages"):
                self.unpacking = True
            elif "+cpu" in line or "%2Bcpu" in line:
                self.expected = None  # PyTorch without its CUDA libraries is much smaller
            # To stderr: stdout is for the program that reads our output.
            print(line, end="", file=sys.stderr, flush=True)

    def line(self, elapsed: float) -> str:
        if self.unpacking:
            what, done = "unpacking", folder_bytes(self.packages) - self.first
            total = self.expected.unpacked if self.expected else 0
            self.began = self.began or elapsed
            elapsed -= self.began
        else:
            # Beside these folders lie copies for pip's cache.
            what, done = "downloading", sum(map(folder_bytes, self.downloads.glob("pip-unpack-*")))
            total = self.expected.download if self.expected else 0
        rate = done / elapsed if elapsed > 0 else 0
        # The total is what the packages took once: past it nothing is known.
        of = f" of about {gigabytes(total)}" if done < total else ""
        left = f", about {duration((total - done) / rate)} left" if of and rate else ""
        return f"{what} packages: {gigabytes(done)}{of}, {rate / 1e6:.1f} MB/s{left}"


def run(command: list[str], advice: str) -> None:
    # pip's progress goes to stderr: stdout is for the program that reads our output.
    code = subprocess.run(command, stdout=sys.stderr).returncode
    if code != 0:
        raise SystemExit(f"{' '.join(command[:4])} … ended with code {code}: {advice}")


if __name__ == "__main__":
    python = str(python_for(Path(sys.argv[1]), "the packages it lists, from your package index"))
    os.execv(python, [python, *sys.argv[2:]])
