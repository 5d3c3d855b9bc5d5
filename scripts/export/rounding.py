"""Runs a half-precision graph on a CPU with the rounding of a GPU, and measures how large its numbers become.

ONNX Runtime computes float16 on a CPU in float32 and has no bfloat16 there at all: a residual of 100,000, which is
infinity on a GPU, passes unseen. So the graph is rewritten to compute in float32 and to round every result.
"""

from __future__ import annotations

import re

import numpy as np
import onnx
from onnx import TensorProto, helper

LARGEST = {TensorProto.FLOAT16: 65504.0, TensorProto.BFLOAT16: 3.38e38}
HEADROOM = 4.0  # values of untried clips may be larger than those of the tried ones by this factor
SUFFIX = ".largest"


def emulate(model: onnx.ModelProto, half: int, rounds: bool = True) -> list[str]:
    """Rewrites the graph in place to compute in float32, with every result of type `half` rounded to it.

    @returns the watched tensors. For each there is an output, its name and SUFFIX: its largest magnitude before rounding.
    With `rounds` false nothing is rounded, so that what lies behind the first infinity can be measured too.
    """
    graph, nodes, watched = model.graph, [], []
    types = {entry.name: entry.type.tensor_type.elem_type for entry in graph.value_info}
    for tensor in graph.initializer:
        if tensor.data_type == half:
            types[tensor.name] = half
            nodes.append(
                helper.make_node("Cast", [tensor.name], [f"{tensor.name}.wide"], to=TensorProto.FLOAT)
            )

    def watch(name: str, tensor: str) -> None:
        watched.append(name)
        nodes.append(helper.make_node("Abs", [tensor], [f"{name}.magnitude"]))
        nodes.append(helper.make_node("ReduceMax", [f"{name}.magnitude"], [name + SUFFIX], keepdims=0))
        graph.output.append(helper.make_tensor_value_info(name + SUFFIX, TensorProto.FLOAT, []))

    def widened(name: str, unrounded: str) -> None:
        if rounds:
            nodes.append(helper.make_node("Cast", [unrounded], [f"{name}.half"], to=half))
            nodes.append(helper.make_node("Cast", [f"{name}.half"], [f"{name}.wide"], to=TensorProto.FLOAT))
        else:
            nodes.append(helper.make_node("Identity", [unrounded], [f"{name}.wide"]))

    for node in graph.node:
        for place, name in enumerate(node.input):
            if types.get(name) == half:
                node.input[place] = f"{name}.wide"
        is_cast = node.op_type == "Cast" and node.attribute[0].i == half
        if is_cast:  # from float32 or from integers: the one place where a wide result becomes half
            node.attribute[0].i = TensorProto.FLOAT
        elif node.op_type == "ConstantOfShape" and node.attribute and node.attribute[0].t.data_type == half:
            value = onnx.numpy_helper.to_array(node.attribute[0].t).astype(np.float32).ravel()
            node.attribute[0].t.CopyFrom(helper.make_tensor("value", TensorProto.FLOAT, [1], value))
        nodes.append(node)
        for place, name in enumerate(node.output):
            if is_cast or types.get(name) == half:
                types[name] = half
                node.output[place] = f"{name}.unrounded"
                watch(name, f"{name}.unrounded")
                widened(name, f"{name}.unrounded")
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    return watched


def magnitudes(names: list[str], found: list[np.ndarray], known: dict[str, float]) -> None:
    """Adds one run's measurements to `known`, keeping the larger; NaN counts as infinite."""
    for name, value in zip(names, found):
        value = float(value)
        known[name] = max(known.get(name, 0.0), value if value == value else float("inf"))


def overflowing(known: dict[str, float], half: int, headroom: float = 1.0) -> dict[str, float]:
    return {name: value for name, value in known.items() if value * headroom > LARGEST[half]}


def layer_of(tensor: str) -> str:
    """The part of the model that a traced tensor belongs to: "/model/qformer/layers.3/dense/Add_output_0" → "qformer/layers.3"."""
    parts = [part for part in tensor.split("/")[1:-1] if part != "model"]
    for index, part in enumerate(parts):
        if re.search(r"\.\d+$|^\d+$", part):
            return "/".join(parts[: index + 1])
    return "/".join(parts[:2]) or "input and output"


def by_layer(known: dict[str, float]) -> dict[str, float]:
    layers: dict[str, float] = {}
    for tensor, value in known.items():
        layer = layer_of(tensor)
        layers[layer] = max(layers.get(layer, 0.0), value)
    return {layer: float(f"{value:.4g}") for layer, value in layers.items()}
