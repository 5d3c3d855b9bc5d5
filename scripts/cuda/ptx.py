"""Compiles native/cuda/preprocess.cu to native/cuda/preprocess.ptx.

    python3 scripts/cuda/ptx.py             writes it
    python3 scripts/cuda/ptx.py --check     compares, and assembles it for every supported architecture

Compiler and assembler come from NVIDIA's wheels on PyPI; where they cannot be installed, --check prints the reason and
exits with 0.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import re
import subprocess
import tempfile

import toolkit

NATIVE = toolkit.ROOT / "native"
SOURCE = NATIVE / "cuda" / "preprocess.cu"
HEADER = NATIVE / "cuda" / "preprocess_kernel.h"
PTX = NATIVE / "cuda" / "preprocess.ptx"

TARGET = 75
# CUDA 11.0: older than every driver that has all the functions of native/cuda/abi.h.
PTX_VERSION = "7.0"
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)


def source_hash() -> str:
    """The hash of the sources of the PTX. test/unit/ptx.test.ts computes it too."""
    return hashlib.sha256(HEADER.read_bytes() + SOURCE.read_bytes()).hexdigest()


class Nvrtc:
    def __init__(self) -> None:
        self.library = ctypes.CDLL(str(toolkit.file_of("nvidia-cuda-nvrtc-cu12", r"libnvrtc\.so\.\d+")))

    def call(self, name: str, *arguments: object) -> None:
        code = getattr(self.library, name)(*arguments)
        if code != 0:
            raise SystemExit(f"{name} answers {code}")

    def text(self, program: ctypes.c_void_p, what: str) -> str:
        size = ctypes.c_size_t()
        self.call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self.call(f"nvrtcGet{what}", program, buffer)
        return buffer.value.decode()

    def compile(self) -> str:
        program = ctypes.c_void_p()
        headers = (ctypes.c_char_p * 1)(HEADER.read_bytes())
        names = (ctypes.c_char_p * 1)(str(HEADER.relative_to(NATIVE)).encode())
        self.call(
            "nvrtcCreateProgram",
            ctypes.byref(program),
            SOURCE.read_bytes(),
            SOURCE.name.encode(),
            1,
            headers,
            names,
        )
        options = [f"--gpu-architecture=compute_{TARGET}".encode(), b"--std=c++17"]
        code = self.library.nvrtcCompileProgram(
            program, len(options), (ctypes.c_char_p * len(options))(*options)
        )
        log = self.text(program, "ProgramLog").strip()
        if code != 0 or log:
            raise SystemExit(f"{SOURCE.name} does not compile without a word:\n{log}")
        return self.text(program, "PTX")


def build() -> str:
    """The text of the file, with an older PTX version than the compiler's, so that older drivers accept it."""
    ptx = Nvrtc().compile()
    body = ptx[ptx.index(".version") :]
    body, count = re.subn(r"^\.version .*$", f".version {PTX_VERSION}", body, count=1, flags=re.MULTILINE)
    assert count == 1
    # Advice about loads, which PTX has since 8.3.
    body = re.sub(r"^\s*\.pragma \"used_bytes_mask \d+\";\n", "", body, flags=re.MULTILINE)
    compiler = toolkit.version_of("nvidia-cuda-nvrtc-cu12")
    return (
        f"// {SOURCE.name}, compiled with NVRTC {compiler} by scripts/cuda/ptx.py.\n"
        f"// sha256 of {HEADER.name} and {SOURCE.name}: {source_hash()}\n{body.rstrip()}\n"
    )


def assemble(architecture: int) -> list[str]:
    """Registers and spills of each kernel, as the assembler reports them. Any warning is an error."""
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [
                str(toolkit.file_of("nvidia-cuda-nvcc-cu12", "ptxas")),
                f"--gpu-name=sm_{architecture}",
                "--verbose",
            ]
            + [
                "--warn-on-spills",
                "--warn-on-local-memory-usage",
                "--warn-on-double-precision-use",
                "--warning-as-error",
            ]
            + [str(PTX), f"--output-file={folder}/cubin"],
            capture_output=True,
            text=True,
        )
    if result.returncode != 0:
        raise SystemExit(f"{PTX.name} does not assemble for sm_{architecture}:\n{result.stderr}")
    kernel = r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers"
    found = re.findall(kernel, result.stderr, flags=re.DOTALL)
    if len(found) != PTX.read_text().count(".entry"):
        raise SystemExit(f"ptxas did not report every kernel for sm_{architecture}:\n{result.stderr}")
    for name, *bytes_used, _ in found:
        if any(int(count) for count in bytes_used):
            raise SystemExit(f"{name} uses the stack on sm_{architecture}: {bytes_used}")
    return [f"{name} {registers} registers" for name, *_, registers in found]


def check() -> None:
    if build() != PTX.read_text():
        raise SystemExit(
            f"{PTX.relative_to(toolkit.ROOT)} is not what its source gives; run: python3 scripts/cuda/ptx.py"
        )
    print(f"{PTX.name} is what {SOURCE.name} gives (NVRTC {toolkit.version_of('nvidia-cuda-nvrtc-cu12')})")
    for architecture in ARCHITECTURES:
        print(f"sm_{architecture}: no spills, no warnings; {', '.join(assemble(architecture))}")
    print(f"ptxas {toolkit.version_of('nvidia-cuda-nvcc-cu12')}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if not toolkit.enter(optional=arguments.check):
        return
    if arguments.check:
        check()
    else:
        PTX.write_text(build())


if __name__ == "__main__":
    main()
