"""Compares native/cuda/abi.h, the types that it takes from nv-codec-headers, and the error numbers of native/cuda/driver.cc
with NVIDIA's cuda.h of two major versions, by means of the C++ compiler.

    python3 scripts/cuda/check_abi.py

Fails on any difference, and when it misses a difference that it makes itself. The headers come from NVIDIA's wheels on
PyPI; where they cannot be installed, it prints the reason and exits with 0.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import toolkit

NATIVE = toolkit.ROOT / "native"
HEADERS = ("nvidia-cuda-runtime-cu12", "nvidia-cuda-runtime")  # the newest last
STRUCTURES = ("CUDA_MEMCPY2D",)
CONSTANTS = {
    "kStreamNonBlocking": "CU_STREAM_NON_BLOCKING",
    "kEventDisableTiming": "CU_EVENT_DISABLE_TIMING",
    "kHostAllocPortable": "CU_MEMHOSTALLOC_PORTABLE",
    "kCaptureThreadLocal": "CU_STREAM_CAPTURE_MODE_THREAD_LOCAL",
}

PROLOGUE = """
#include <cuda.h>
#include "cuda/abi.h"
#include <stddef.h>
#include <stdint.h>
#include <type_traits>

// A parameter that is an enum there may be its integer here.
template <typename T, bool is_enum = std::is_enum_v<T>> struct Plain { using type = T; };
template <typename T> struct Plain<T, true> { using type = std::underlying_type_t<T>; };
template <typename... Types> struct Is;
template <typename Ours, typename Theirs> struct Same : std::false_type {};
template <typename R, typename... Ours, typename... Theirs>
struct Same<R (*)(Ours...), R (*)(Theirs...)>
    : std::is_same<Is<typename Plain<Ours>::type...>, Is<typename Plain<Theirs>::type...>> {};
#define PROTOTYPE(name, symbol) static_assert(Same<decltype(cosmos::cuda::Api::name), decltype(&::symbol)>::value, "prototype " #symbol)
#define CONSTANT(ours, theirs) static_assert(static_cast<long>(ours) == static_cast<long>(theirs), "constant " #theirs)
"""

# The same header a second time, in a namespace, beside NVIDIA's.
NAMESPACE = """
#undef CUDA_VERSION
#undef CU_UUID_HAS_BEEN_DEFINED
namespace ours {
#include <ffnvcodec/dynlink_cuda.h>
}
static_assert(sizeof(ours::CUdeviceptr) == sizeof(::CUdeviceptr) && sizeof(ours::CUdevice) == sizeof(::CUdevice), "handles");
static_assert(sizeof(ours::CUuuid) == sizeof(::CUuuid) && alignof(ours::CUuuid) == alignof(::CUuuid), "structure CUuuid");
#define SIZE(type) static_assert(sizeof(ours::type) == sizeof(::type) && alignof(ours::type) == alignof(::type), "structure " #type)
#define MEMBER(type, name) static_assert(offsetof(ours::type, name) == offsetof(::type, name) && \\
    sizeof(ours::type::name) == sizeof(::type::name), "structure " #type "." #name)
#define ENUMERATOR(name) static_assert(static_cast<long>(ours::name) == static_cast<long>(::name), "enumerator " #name)
"""


def prototypes(abi: str) -> list[tuple[str, str]]:
    return re.findall(r'\bF\((\w+), "(\w+)",', abi)


def enumerators(dynlink: str) -> list[str]:
    """The types of nv-codec-headers that native/ uses."""
    defined = set(re.findall(r"^\s+(CU(?:DA)?_\w+)\s*=", dynlink, flags=re.MULTILINE))
    used: set[str] = set()
    for file in [*NATIVE.rglob("*.cc"), *NATIVE.rglob("*.h")]:
        used.update(re.findall(r"\bCU(?:DA)?_\w+", file.read_text()))
    return sorted(defined & used)


def errors(driver: str) -> list[tuple[str, str]]:
    return re.findall(r"case (\d+):\s*// (\w+)", driver) + [
        (number, "OUT_OF_MEMORY")
        for number in re.findall(r"kOutOfMemoryError = static_cast<CUresult>\((\d+)\)", driver)
    ]


def fatal_errors(cuda: str) -> set[str]:
    """The errors after which, by NVIDIA's comments, the process or its context cannot be used any more."""
    comments = re.findall(r"/\*\*((?:(?!\*/).)*)\*/\s*CUDA_ERROR_(\w+)\s*=", cuda, flags=re.DOTALL)
    fatal = re.compile(r"must be terminated and relaunched|context cannot be used anymore")
    return {name for text, name in comments if fatal.search(re.sub(r"[\s*]+", " ", text))}


class Sources:
    """The declarations to check, as text, so that a copy with a mistake can be checked too."""

    def __init__(self, dynlink: Path) -> None:
        self.abi = (NATIVE / "cuda" / "abi.h").read_text()
        self.driver = (NATIVE / "cuda" / "driver.cc").read_text()
        self.dynlink = dynlink.read_text()

    def unit(self, cuda: str) -> str:
        """`cuda` is the text of NVIDIA's header. Errors that it does not know yet are left out."""
        lines = [PROLOGUE]
        lines += [f"PROTOTYPE({name}, {symbol});" for name, symbol in prototypes(self.abi)]
        lines += [f"CONSTANT(cosmos::cuda::{ours}, {theirs});" for ours, theirs in CONSTANTS.items()]
        lines += [
            f"CONSTANT({number}, CUDA_ERROR_{name});"
            for number, name in errors(self.driver)
            if f"CUDA_ERROR_{name} " in cuda
        ]
        lines.append(NAMESPACE)
        for structure in STRUCTURES:
            body = re.search(
                rf"typedef struct {structure}_st {{(.*?)}} {structure};", self.dynlink, flags=re.DOTALL
            )
            lines.append(f"SIZE({structure});")
            lines += [f"MEMBER({structure}, {member});" for member in re.findall(r"(\w+);", body[1])]
        lines += [f"ENUMERATOR({name});" for name in enumerators(self.dynlink)]
        return "\n".join(lines) + "\n"

    def missing_fatal_errors(self, cuda: str) -> list[str]:
        return sorted(fatal_errors(cuda) - {name for _, name in errors(self.driver)})

    def compile(self, header: Path) -> list[str]:
        """The assertions that fail. Exits with the compiler's output when it fails for another reason."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for path, text in (("cuda/abi.h", self.abi), ("ffnvcodec/dynlink_cuda.h", self.dynlink)):
                (folder / path).parent.mkdir()
                (folder / path).write_text(text)
            (folder / "unit.cc").write_text(self.unit(header.read_text()))
            compiler = os.environ.get("CXX", "c++")
            result = subprocess.run(
                [
                    compiler,
                    "-std=c++20",
                    "-fsyntax-only",
                    "-fmax-errors=0",
                    "-I",
                    folder,
                    "-isystem",
                    header.parent,
                    folder / "unit.cc",
                ],
                capture_output=True,
                text=True,
            )
        failed = re.findall(r"error: static assertion failed: (.*)", result.stderr)
        if result.returncode != 0 and not failed or result.stderr.count(" error: ") > len(failed):
            raise SystemExit(f"the check does not compile with {header}:\n{result.stderr[:4000]}")
        return failed


def assert_notices_mistakes(header: Path, dynlink: Path) -> int:
    """Copies with one mistake each: an extra parameter, a member of another size, a wrong number of an
    error, an error that is left out."""
    sources = Sources(dynlink)
    sources.abi = re.sub(r"\)\)(?= *(?:\\|$))", ", int))", sources.abi, flags=re.MULTILINE)
    sources.dynlink = sources.dynlink.replace("size_t srcPitch;", "short srcPitch;").replace(
        "MAJOR = 75", "MAJOR = 74"
    )
    sources.driver = sources.driver.replace("case 700:", "case 708:")
    failed = set(sources.compile(header))
    expected = {f"prototype {symbol}" for _, symbol in prototypes(sources.abi)}
    expected |= {"structure CUDA_MEMCPY2D.srcPitch", "constant CUDA_ERROR_ILLEGAL_ADDRESS"}
    expected |= {"enumerator CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR"}
    sources.driver = re.sub(r"case 810:.*\n", "", sources.driver)
    failed |= {f"no error {name}" for name in sources.missing_fatal_errors(header.read_text())}
    expected |= {"no error MPS_CLIENT_TERMINATED"}
    if missed := expected - failed:
        raise SystemExit(f"the check does not notice mistakes: {sorted(missed)}")
    return len(expected)


def main() -> None:
    if not toolkit.enter(optional=True):
        return
    where = os.environ.get("FFNVCODEC_DIR", "/usr/include")
    dynlink = Path(where) / "ffnvcodec" / "dynlink_cuda.h"
    if not shutil.which(os.environ.get("CXX", "c++")) or not dynlink.exists():
        raise SystemExit(f"a C++ compiler and {dynlink} (Debian: libffmpeg-nvenc-dev) are needed")
    sources = Sources(dynlink)
    for package in HEADERS:
        header = toolkit.file_of(package, r"cuda\.h")
        if failed := sources.compile(header):
            raise SystemExit(
                f"{package} {toolkit.version_of(package)}: {len(failed)} differences: {', '.join(failed)}"
            )
        if missing := sources.missing_fatal_errors(header.read_text()):
            raise SystemExit(
                f"{package}: errors that lose the device, but IsSticky does not list them: {', '.join(missing)}"
            )
        version = re.search(r"#define CUDA_VERSION (\d+)", header.read_text())[1]
        unknown = [
            name for _, name in errors(sources.driver) if f"CUDA_ERROR_{name} " not in header.read_text()
        ]
        if unknown and package == HEADERS[-1]:
            raise SystemExit(f"errors that cuda.h does not have: {', '.join(unknown)}")
        print(
            f"cuda.h {version} ({package} {toolkit.version_of(package)}): {len(prototypes(sources.abi))} prototypes, "
            f"{len(CONSTANTS) + len(enumerators(sources.dynlink))} constants, {len(errors(sources.driver)) - len(unknown)} errors, "
            f"{', '.join((*STRUCTURES, 'CUuuid'))} agree"
            + (f"; not in it yet: {', '.join(unknown)}" if unknown else "")
        )
    noticed = assert_notices_mistakes(toolkit.file_of(HEADERS[-1], r"cuda\.h"), dynlink)
    print(f"{noticed} mistakes made on purpose: all noticed")


if __name__ == "__main__":
    main()
