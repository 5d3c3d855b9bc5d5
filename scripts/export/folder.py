"""Checks a checkpoint folder before anything is downloaded, installed or run. Standard library only."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

from files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, WEIGHTS, Refused, local_classes, read_json

INDEX = "model.safetensors.index.json"
LARGEST_HEADER = 100_000_000  # bytes; what the format's own reader accepts
LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class Contents:
    """The weights in a folder. `weights`: whole models; `adapter`: a LoRA, beside them or alone."""

    weights: list[str]
    adapter: bool


def check_configuration(folder: Path) -> None:
    """Raises Refused when the small files cannot describe a checkpoint of this kind."""
    if not (folder / "config.json").is_file():
        raise Refused(f"{folder} has no config.json; expected a checkpoint in Hugging Face's layout")
    for path in sorted(folder.glob("*.json")):
        if path.read_bytes().startswith(LFS_POINTER):
            raise Refused(pointer(path))
        if path.name in (
            "config.json",
            "processor_config.json",
            "preprocessor_config.json",
            "tokenizer_config.json",
            INDEX,
        ):
            local_classes(read_json(path), folder, path.name)
    if not (folder / "processor_config.json").is_file():
        raise Refused(
            f"{folder} has no processor_config.json, which says how pictures and texts are prepared; copy it from the checkpoint "
            "that this one was tuned from"
        )
    if "auto_map" not in read_json(folder / "config.json"):
        raise Refused(
            "config.json has no auto_map, which names the checkpoint's own classes; copy it from the checkpoint that this one was "
            "tuned from, with its Python files"
        )


def check_weights(folder: Path) -> Contents:
    """Raises Refused for weights that are missing, cut short or only pointers; reads headers, never gigabytes."""
    found = sorted(path.name for path in folder.glob("*" + WEIGHTS))
    adapter = (folder / ADAPTER_CONFIG).is_file() or ADAPTER_WEIGHTS in found
    weights = [name for name in found if name != ADAPTER_WEIGHTS]
    for name in found:
        check_shard(folder / name)
    if adapter:
        for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
            if not (folder / name).is_file():
                raise Refused(f"{folder} has part of an adapter, but no {name}")
    if (folder / INDEX).is_file():
        check_index(folder, weights)
    if not found:
        raise Refused(
            f"{folder} has no *{WEIGHTS} file; other formats run code when they are opened, and are not read"
        )
    return Contents(weights, adapter)


def shards_of(index: Path) -> list[str]:
    """The files that an index names."""
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise Refused(f"{index.name} has no weight_map of names to files")
    return sorted(set(names.values()))


def check_index(folder: Path, present: list[str]) -> None:
    shards = shards_of(folder / INDEX)
    missing = [name for name in shards if name not in present]
    if missing:
        raise Refused(
            f"{folder} lacks {', '.join(missing)}, which {INDEX} names: the download is not complete"
        )
    tensors = {file: tensor_names(folder / file) for file in shards}
    for name, file in read_json(folder / INDEX)["weight_map"].items():
        if name not in tensors[file]:
            raise Refused(
                f"{file} has no {name}, which {INDEX} says it has: the files are of different checkpoints"
            )


def conversion_bytes(weight_bytes: float, precisions: list[str]) -> float:
    """Disk that a conversion takes at most. Checkpoints hold 16 bits a weight; they are traced in 32, and then written."""
    return weight_bytes * (4 if {"fp32", "mixed"}.intersection(precisions) else 3)


def check_shard(path: Path) -> None:
    """The file's size must be what its header says."""
    with path.open("rb") as file:
        start = file.read(len(LFS_POINTER))
    if start == LFS_POINTER:
        raise Refused(pointer(path))
    size, header, length = path.stat().st_size, *read_header(path)
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    wanted = 8 + length + max(ends, default=0)
    if size != wanted:
        raise Refused(
            f"{path.name} has {size:,} bytes, its header says {wanted:,}: it was cut short or damaged; fetch it again"
        )


def tensor_names(path: Path) -> set[str]:
    return {name for name in read_header(path)[0] if name != "__metadata__"}


def read_header(path: Path) -> tuple[dict, int]:
    """@returns the header of a safetensors file and its length in bytes."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > LARGEST_HEADER:
                raise ValueError(f"its header would have {length:,} bytes")
            header = json.loads(file.read(length))
            for name, entry in header.items():
                if name != "__metadata__":
                    int(entry["data_offsets"][1])
    except (
        struct.error,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
    ) as error:
        raise Refused(f"{path.name} is not a whole safetensors file ({error}): fetch it again") from error
    return header, length


def pointer(path: Path) -> str:
    return f"{path.name} is a pointer of Git LFS, not the file itself: run `git lfs pull` in {path.parent}"
