"""Writes a graph tensor by tensor, so that a model of many gigabytes never has to fit in memory twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from steps import measured

# Bytes. ONNX Runtime maps a file of weights, but reads a whole graph into memory and copies its weights out of it.
EMBEDDED_LIMIT = 16_000_000
ALIGNMENT = 4096  # bytes; lets an engine map a weight instead of copying it
SMALLEST_EXTERNAL = 1024  # bytes; what shapes are made of stays in the graph


@dataclass(frozen=True)
class Change:
    """How the stored form of a weight differs from the traced one."""

    dtype: np.dtype
    of: Callable[[np.ndarray], np.ndarray]


def load_tensor(tensor: onnx.TensorProto, folder: Path) -> np.ndarray:
    """The values of an initializer, whether it lies in the graph or in a file beside it."""
    return numpy_helper.to_array(tensor, base_dir=str(folder))


def traced_bytes(tensor: onnx.TensorProto) -> int:
    return helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * int(
        np.prod(tensor.dims, dtype=np.int64)
    )


def tensors(model: onnx.ModelProto, what: str) -> Iterator[onnx.TensorProto]:
    """The weights one by one, with progress for the user."""
    every = list(model.graph.initializer)
    return measured(every, traced_bytes, sum(map(traced_bytes, every)), what)


def too_large(model: onnx.ModelProto, folder: Path, largest: float) -> dict[str, float]:
    """The weights that hold a number above `largest`, and that number."""
    found = {}
    for tensor in tensors(model, "looking for weights that are too large"):
        if tensor.data_type == TensorProto.FLOAT:
            value = float(np.abs(load_tensor(tensor, folder)).max(initial=0.0))
            if value > largest:
                found[tensor.name] = value
    return found


def save(
    model: onnx.ModelProto, folder: Path, path: Path, changes: dict[str, Change] | None = None
) -> list[Path]:
    """Writes `model`, whose external weights lie in `folder`; those named in `changes` are stored as these say.

    @returns the files written: `path`, and `path` + ".data" when its weights exceed the limit.
    """
    changes = changes or {}

    def width(tensor: onnx.TensorProto) -> int:
        change = changes.get(tensor.name)
        return (change.dtype if change else helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize

    total = sum(
        width(tensor) * int(np.prod(tensor.dims, dtype=np.int64)) for tensor in model.graph.initializer
    )
    if total <= EMBEDDED_LIMIT:
        for tensor in model.graph.initializer:
            replace(tensor, stored(tensor, folder, changes))
        onnx.save_model(model, path)
        return [path]
    data = path.with_name(path.name + ".data")
    with data.open("wb") as file:
        for tensor in tensors(model, f"{data.name}, weights dealt with"):
            values = stored(tensor, folder, changes)
            if values.nbytes < SMALLEST_EXTERNAL:
                replace(tensor, values)
                continue
            file.write(bytes(-file.tell() % ALIGNMENT))
            place = {"location": data.name, "offset": str(file.tell()), "length": str(values.nbytes)}
            file.write(values.tobytes())
            reference = TensorProto(
                name=tensor.name,
                dims=values.shape,
                data_location=TensorProto.EXTERNAL,
                data_type=helper.np_dtype_to_tensor_dtype(values.dtype),
            )
            for key, value in place.items():
                reference.external_data.add(key=key, value=value)
            tensor.CopyFrom(reference)
    path.write_bytes(model.SerializeToString())
    return [path, data]


def stored(tensor: onnx.TensorProto, folder: Path, changes: dict[str, Change]) -> np.ndarray:
    values, change = load_tensor(tensor, folder), changes.get(tensor.name)
    return change.of(values) if change else values


def in_type(names: set[str], kind: int) -> dict[str, Change]:
    """Those of `names` as ONNX's type `kind`, of 16 bits."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    return {name: Change(dtype, lambda values: values.astype(dtype)) for name in names}


def replace(tensor: onnx.TensorProto, values: np.ndarray) -> None:
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
