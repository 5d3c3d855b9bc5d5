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


def python_for(requirements: Path, needs: str) -> Path:
    """The interpreter that has `requirements`. `needs` is told before anything is fetched.

    COSMOS_EMBED_PYTHON names an interpreter that has them already; nothing is made then.
    """
    given = os.environ.get("COSMOS_EMBED_PYTHON")
    if given:
        return Path(given)
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "cosmos-embed" / f"{requirements.parent.name}-{sys.version_info.major}.{sys.version_info.minor}-{digest}"
    python = folder / "bin" / "python"
    if python.exists():
        return python
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise SystemExit(f"Python {sys.version.split()[0]} cannot run the pinned packages; expected {OLDEST[0]}.{OLDEST[1]} to "
                         f"{NEWEST[0]}.{NEWEST[1]}. Start this with another python3, or set COSMOS_EMBED_PYTHON")
    print(f"first use: making a virtual environment in {folder}\n{needs}", file=sys.stderr, flush=True)
    # Made under another name and renamed when whole: only bin/python is used, which does not mind.
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    try:
        run([sys.executable, "-m", "venv", str(partial)])
        run([str(partial / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "-r", str(requirements)])
        if not python.exists():  # else another process was faster
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return python


def run(command: list[str]) -> None:
    # pip's progress belongs to the person, not to whoever reads our output.
    code = subprocess.run(command, stdout=sys.stderr).returncode
    if code != 0:
        raise SystemExit(f"{' '.join(command[:4])} … ended with code {code}")


if __name__ == "__main__":
    python = str(python_for(Path(sys.argv[1]), "the packages it lists, from your package index"))
    os.execv(python, [python, *sys.argv[2:]])
