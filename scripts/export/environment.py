"""A virtual environment per set of pinned requirements, made on first use. Standard library only.

python3 environment.py REQUIREMENTS ARGUMENTS…      runs that environment's python with ARGUMENTS
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

# For every Python that is started from here: ONNX Runtime sends telemetry unless it is told before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

OLDEST, NEWEST = (3, 11), (3, 13)  # what the pinned packages have wheels for


def python_for(requirements: Path, needs: str, disk: float = 0.0) -> Path:
    """The interpreter that has `requirements`. `needs` is printed before anything is downloaded; `disk`: bytes that it takes.

    COSMOS_EMBED_PYTHON names an interpreter that has them already; no environment is made then.
    """
    given = os.environ.get("COSMOS_EMBED_PYTHON")
    if given:
        if shutil.which(given) is None:
            raise SystemExit(f"COSMOS_EMBED_PYTHON is {given}, which is no program")
        return Path(given)
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = (
        cache
        / "cosmos-embed"
        / f"{requirements.parent.name}-{sys.version_info[0]}.{sys.version_info[1]}-{digest}"
    )
    python = folder / "bin" / "python"
    if python.exists():
        return python
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise SystemExit(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} ({sys.executable}) cannot run the pinned packages; expected "
            f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}: name such an interpreter with --python, for example "
            "--python python3.12, or one that has the packages with COSMOS_EMBED_PYTHON"
        )
    place = next(parent for parent in folder.parents if parent.exists())
    free = shutil.disk_usage(place).free
    if free < disk:
        raise SystemExit(
            f"the disk of {place} has {free / 1e9:.1f} GB free, the Python packages take {disk / 1e9:.0f} GB; free some, or "
            "set XDG_CACHE_HOME to a folder on another disk"
        )
    print(f"first use: making a virtual environment in {folder}\n{needs}", file=sys.stderr, flush=True)
    # Made under another name and renamed when whole: only bin/python is used, which does not mind.
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    try:
        run(
            [sys.executable, "-m", "venv", str(partial)],
            "on Debian and Ubuntu install python3-venv, or name another interpreter with --python",
        )
        run(
            [
                str(partial / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "-r",
                str(requirements),
            ],
            "pip's words above say why; run again when that is mended",
        )
        if not python.exists():  # else another process was faster
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return python


def run(command: list[str], advice: str) -> None:
    # pip's progress goes to stderr: stdout is for the program that reads our output.
    code = subprocess.run(command, stdout=sys.stderr).returncode
    if code != 0:
        raise SystemExit(f"{' '.join(command[:4])} … ended with code {code}: {advice}")


if __name__ == "__main__":
    python = str(python_for(Path(sys.argv[1]), "the packages it lists, from your package index"))
    os.execv(python, [python, *sys.argv[2:]])
