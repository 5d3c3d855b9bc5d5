"""Provides NVIDIA's tools from their wheels on PyPI, in their own virtual environment."""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENTERED = "COSMOS_CUDA_TOOLKIT_ENTERED"
sys.path.insert(0, str(HERE.parent / "export"))

import environment  # noqa: E402


def enter(optional: bool) -> bool:
    """Restarts the script in the interpreter that has the wheels. Returns false where `optional` wheels cannot be installed."""
    if os.environ.get(ENTERED):
        return True
    try:
        python = environment.python_for(
            HERE / "requirements.txt", "NVIDIA's compiler, assembler and headers (100 MB, from PyPI)"
        )
    except SystemExit as error:
        if not optional:
            raise
        print(f"skipped: NVIDIA's wheels cannot be had ({error})")
        return False
    os.environ[ENTERED] = "1"
    os.execv(python, [str(python), *sys.argv])


def version_of(package: str) -> str:
    return importlib.metadata.version(package)


def file_of(package: str, name: str) -> Path:
    """The one file of the wheel whose name matches the pattern."""
    found = [file for file in importlib.metadata.files(package) or [] if re.fullmatch(name, file.name)]
    if len(found) != 1:
        raise SystemExit(f"{package} has {len(found)} files like {name}")
    return Path(str(found[0].locate()))
