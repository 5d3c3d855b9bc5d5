"""Installs the exporter's packages without CUDA's libraries for tests: 2.3 GB instead of 7. Uses only the standard library.

    python3 small_environment.py ARGUMENTS…      runs that environment's python with ARGUMENTS

PyPI has PyTorch for x86 only as a build for CUDA, whose wheel (0.9 GB) draws in another 2.8 GB of NVIDIA's libraries and Triton. The
wheel computes on a CPU without a call to any of them, but does not load where they are missing. So pip is told that those
packages are there, and libraries of their names, with functions of the names that PyTorch looks for, stand in their places.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

EXPORT = Path(__file__).resolve().parents[2] / "scripts" / "export"
sys.path.insert(0, str(EXPORT))

from environment import run  # noqa: E402  (beside the exporter)

REQUIREMENTS = EXPORT / "requirements.txt"
FOR_CARDS = re.compile(r"Requires-Dist: ((?:nvidia|triton)[\w-]*)\s*\(?==([\w.]+)")
REAL = ("nvidia-cuda-runtime",)  # small, and asked at the first import whether there is a card
STANDS_IN_FOR = re.compile(r"lib(?!cudart)(cu|nccl)")
UNVERSIONED = re.compile(r"(cuFile|cusparseLt|curand|p?nccl)[A-Z]")
ADVICE = "pip's words above say why; run again when that is mended"


def environment() -> Path:
    """@returns its interpreter; makes it on first use, once per list of packages and way of making it. COSMOS_EMBED_PYTHON names one
    that has the packages already."""
    given = os.environ.get("COSMOS_EMBED_PYTHON")
    if given:
        return Path(given)
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cosmos-embed"
    folder = cache / f"export-small-{sys.version_info[0]}.{sys.version_info[1]}-{digest}"
    if not (folder / "bin" / "python").exists():
        partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
        try:
            fill(partial)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder / "bin" / "python"


def fill(folder: Path) -> None:
    python = str(folder / "bin" / "python")
    run([sys.executable, "-m", "venv", str(folder)], "on Debian and Ubuntu install python3-venv")
    packages = next((folder / "lib").glob("python*/site-packages"))
    torch = next(line for line in REQUIREMENTS.read_text().splitlines() if line.startswith("torch=="))
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir"]
    with tempfile.TemporaryDirectory(dir=folder) as wheels:
        run([*pip, "download", "--no-deps", "-d", wheels, torch], ADVICE)
        with zipfile.ZipFile(next(Path(wheels).glob("torch-*.whl"))) as wheel:
            metadata = wheel.read(
                next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
            ).decode()
        for name, version in FOR_CARDS.findall(metadata):
            if not name.startswith(REAL):
                claim(packages, name, version)
        run([*pip, "install", "--no-compile", "--find-links", wheels, "-r", str(REQUIREMENTS)], ADVICE)
    stand_in(packages / "torch" / "lib")


def claim(packages: Path, name: str, version: str) -> None:
    """What pip takes for an installed package."""
    folder = packages / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "RECORD").write_text("")


def stand_in(folder: Path) -> None:
    """Puts libraries beside PyTorch's own, where these look for them."""
    wanted: dict[str, set[str]] = defaultdict(set)
    unversioned: set[str] = set()
    for library in sorted(folder.glob("lib*.so")):
        told = subprocess.run(
            ["readelf", "--wide", "--dynamic", "--dyn-syms", str(library)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in re.findall(r"Shared library: \[(.+)\]", told):
            if STANDS_IN_FOR.match(name):
                wanted[name]  # also one of which no function is named
        for symbol, version in re.findall(r" UND ([^@\s]+)(?:@(\S+))?", told):
            if version and STANDS_IN_FOR.match(version):
                wanted[version].add(symbol)
            elif not version and UNVERSIONED.match(symbol):
                unversioned.add(symbol)
    for name, symbols in wanted.items():
        if not (folder / name).exists():
            build(folder / name, symbols, unversioned)


def build(library: Path, versioned: set[str], unversioned: set[str]) -> None:
    """Functions that fail, were anybody to call them: 1 is no success in any of CUDA's libraries."""
    source = "".join(f"int {symbol}(void) {{ return 1; }}\n" for symbol in sorted(versioned or unversioned))
    command = [
        "cc",
        "-shared",
        "-nostdlib",
        "-w",
        "-fno-builtin",
        f"-Wl,-soname,{library.name}",
        "-o",
        str(library),
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".map") as versions:
        if versioned:
            versions.write(f"{library.name} {{ global: *; }};\n")
            versions.flush()
            command.append(f"-Wl,--version-script={versions.name}")
        subprocess.run([*command, "-x", "c", "-"], input=source, text=True, check=True)


if __name__ == "__main__":
    python = str(environment())
    os.execv(python, [python, *sys.argv[1:]])
