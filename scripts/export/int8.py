"""Rewrites a float32 graph to 8-bit matrix products with weights: smaller, and faster on a CPU.

Every column of a weight matrix gets a scale of its own, once. Every row that meets it, a token's vector, gets one while the
graph runs. ONNX Runtime's own tool (`quantize_dynamic`) takes one scale for all rows of a batch: then the row with
the largest values decides the resolution of all others, and a clip's vector depends on its batch. Here it depends on the clip alone.

What is no product with a weight matrix stays in float32: the patches' convolution, scores and softmax, norms, projections of
a single row. The product itself is `MatMulIntegerToFloat`, of ONNX Runtime's own operators; no other engine has it.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from steps import measured
from weights import Change, load_tensor, traced_bytes

DOMAIN = "com.microsoft"
LARGEST_WEIGHT = 127
LARGEST_LEVEL = 127  # on both sides of MIDDLE
MIDDLE = 128
SMALLEST_ROW = 1e-12  # of a row of zeros, which is divided by its largest number


def quantise(model: onnx.ModelProto, folder: Path) -> dict[str, Change]:
    """Rewrites the graph in place, all but the weights' bytes, which lie in `folder`. @returns how to store each weight."""
    graph = model.graph
    matrices = weight_matrices(graph)
    scales = {
        tensor.name: column_scales(load_tensor(tensor, folder))
        for tensor in measured(matrices, traced_bytes, sum(map(traced_bytes, matrices)), "scales of 8 bits")
    }
    nodes: list[onnx.NodeProto] = []
    rows: dict[str, tuple[str, str]] = {}
    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in scales:
            nodes.append(node)
            continue
        source, weight = node.input
        if source not in rows:
            rows[source] = (f"{source}.levels", f"{source}.largest")
            nodes += row_levels(source, *rows[source])
        levels, largest = rows[source]
        unscaled = f"{node.output[0]}.unscaled"
        nodes.append(
            helper.make_node(
                "MatMulIntegerToFloat",
                [levels, weight, "int8.step", f"{weight}.scale", "int8.middle"],
                [unscaled],
                name=node.name,
                domain=DOMAIN,
            )
        )
        nodes.append(helper.make_node("Mul", [unscaled, largest], [node.output[0]]))
    del graph.node[:]
    graph.node.extend(nodes)
    constants = {
        "int8.step": np.float32(1 / LARGEST_LEVEL),
        "int8.middle": np.uint8(MIDDLE),
        "int8.smallest": np.float32(SMALLEST_ROW),
        "int8.last": np.array([-1], np.int64),
        **{f"{weight}.scale": scale for weight, scale in scales.items()},
    }
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return {
        weight: Change(np.dtype(np.int8), lambda values, scale=scale: to_bytes(values, scale))
        for weight, scale in scales.items()
    }


def weight_matrices(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """Those that nothing uses but products, on their right side. A table of words that is also multiplied with stays as it is."""
    uses: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for node in graph.node:
        for place, name in enumerate(node.input):
            uses[name].add((node.op_type, place))
    return [
        tensor
        for tensor in graph.initializer
        if tensor.data_type == TensorProto.FLOAT
        and len(tensor.dims) == 2
        and uses[tensor.name] == {("MatMul", 1)}
    ]


def row_levels(source: str, levels: str, largest: str) -> list[onnx.NodeProto]:
    """Every row divided by its largest number, as bytes around MIDDLE."""
    return [
        helper.make_node("Abs", [source], [f"{source}.magnitude"]),
        helper.make_node("ReduceMax", [f"{source}.magnitude", "int8.last"], [f"{source}.reach"], keepdims=1),
        helper.make_node("Max", [f"{source}.reach", "int8.smallest"], [largest]),
        helper.make_node("Div", [source, largest], [f"{source}.unit"]),
        helper.make_node("QuantizeLinear", [f"{source}.unit", "int8.step", "int8.middle"], [levels]),
    ]


def column_scales(values: np.ndarray) -> np.ndarray:
    largest = np.abs(values).max(axis=0)
    return np.where(largest > 0, largest, 1).astype(np.float32) / np.float32(LARGEST_WEIGHT)


def to_bytes(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values / scale), -LARGEST_WEIGHT, LARGEST_WEIGHT).astype(np.int8)
