"""Pads the heads of attention with zeros: queries, keys and values get a wider last axis, the result loses it again.

Zeros add nothing to a product, so the vectors stay the same but for rounding. The width of a head decides which kernels an
engine can choose for its attention.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, helper

import weights
from attention import Attention, find
from graphs import Edits, Graph
from shapes import remove_unused


@dataclass
class Padded:
    """What was done."""

    by_weights: int = 0  # queries, keys, values and results whose projection got the zeros
    by_nodes: int = 0  # those around which there are Pad and Slice nodes
    changes: dict[str, weights.Change] = field(default_factory=dict)  # how to store the new weights


@dataclass
class Way:
    """The nodes between a product and a projection, along which the axis of the heads' width can be followed."""

    narrow: int
    axes: dict[str, tuple[int, int]] = field(
        default_factory=dict
    )  # per tensor: axis, heads that are joined in it
    nodes: list[NodeProto] = field(default_factory=list)
    weights: list[tuple[NodeProto, int, int]] = field(default_factory=list)  # who takes it, its axis, heads


def pad_heads(model: onnx.ModelProto, folder: Path, width: int) -> Padded:
    """Pads heads to `width`, in place but for the weights' bytes. Those whose width is a power of two stay: kernels are made for these.

    The zeros go into the weights of the projections where the way there can be followed, which adds no node to the graph.
    Elsewhere Pad nodes are put before the products, and a Slice behind.
    """
    graph, edits, done = Graph(model, folder), Edits(), Padded()
    for attention in find(graph):
        narrow = width_of(graph, attention)
        if narrow is None or narrow >= width or narrow & (narrow - 1) == 0:
            continue
        operands = [(attention.scores, 0, -1), (attention.scores, 1, -2), (attention.result, 1, -1)]
        ways = separate(
            graph, [(*each, backward(graph, each[0].input[each[1]], each[2], narrow)) for each in operands]
        )
        for node, place, axis, way in ways:
            if way is None:
                edits.before.setdefault(id(node), []).append(pad(graph, node, place, axis, width))
        result = attention.result
        after = forward(graph, result.output[0], narrow)
        if after is None:
            edits.after[id(result)] = [cut(graph, result, narrow, width)]
        followed = [way for way in (*(way for *_, way in ways), after) if way is not None]
        widen(graph, followed, width, done)
        done.by_weights += len(followed)
        done.by_nodes += len(ways) + 1 - len(followed)
    edits.apply(graph)
    remove_unused(model)
    return done


def width_of(graph: Graph, attention: Attention) -> int | None:
    (queries, keys), values = attention.scores.input, attention.result.input[1]
    sizes = {graph.size(queries, -1), graph.size(keys, -2), graph.size(values, -1)}
    return sizes.pop() if len(sizes) == 1 else None


def backward(graph: Graph, name: str, axis: int, narrow: int) -> Way | None:
    """From an operand to the projection that makes it, or None where something else is on the way."""
    way = Way(narrow)
    axis, heads = axis % len(graph.shapes[name]), 1
    while True:
        way.axes[name] = (axis, heads)
        node = graph.makers.get(name)
        if node is None:
            return None
        way.nodes.append(node)
        is_last = axis == len(graph.shapes[name]) - 1
        values = attributes(node)
        if node.op_type == "Transpose":
            axis = values["perm"][axis]
        elif node.op_type == "Split" and values.get("axis", 0) % len(graph.shapes[name]) != axis:
            pass
        elif node.op_type in ("Gather", "Squeeze"):
            gone = axes_gone(graph, node, values)
            if gone is None:
                return None
            kept = [each for each in range(len(graph.shapes[node.input[0]])) if each not in gone]
            axis = kept[axis]
        elif node.op_type in ("Mul", "Div") and graph.scalar(node.input[1]) is not None:
            pass
        elif node.op_type == "Reshape" and is_last and heads == 1:
            found = joined(graph, node, node.output[0], node.input[0])
            if found is None:
                return None
            axis, heads = len(graph.shapes[node.input[0]]) - 1, found // narrow
        elif node.op_type == "Add" and is_last:
            bias = graph.constant(node.input[1])
            if bias is None or bias.shape != (heads * narrow,):
                return None
            way.weights.append((node, 0, heads))
        elif node.op_type == "MatMul" and is_last:
            return way if is_projection(graph, way, node, 1, heads) else None
        else:
            return None
        name = node.input[0]
        if name not in graph.shapes:
            return None


def forward(graph: Graph, name: str, narrow: int) -> Way | None:
    """From a result to the projection that takes it."""
    way = Way(narrow)
    axis, heads = len(graph.shapes[name]) - 1, 1
    while True:
        way.axes[name] = (axis, heads)
        takers = graph.takers.get(name, [])
        if len(takers) != 1 or name in graph.outputs:
            return None
        node = takers[0]
        way.nodes.append(node)
        is_last = axis == len(graph.shapes[name]) - 1
        if node.op_type == "Transpose":
            axis = attributes(node)["perm"].index(axis)
        elif node.op_type == "Reshape" and is_last and heads == 1:
            found = joined(graph, node, name, node.output[0])
            if found is None:
                return None
            axis, heads = len(graph.shapes[node.output[0]]) - 1, found // narrow
        elif node.op_type == "MatMul" and is_last and node.input[0] == name:
            return way if is_projection(graph, way, node, 0, heads) else None
        else:
            return None
        name = node.output[0]


def attributes(node: NodeProto) -> dict:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def axes_gone(graph: Graph, node: NodeProto, values: dict) -> set[int] | None:
    """The axes of its input that this node takes away."""
    rank = len(graph.shapes.get(node.input[0], []))
    if node.op_type == "Gather":
        return {values.get("axis", 0) % rank} if graph.shapes.get(node.input[1]) == [] else None
    axes = graph.constant(node.input[1]) if len(node.input) > 1 else None
    return None if axes is None else {int(axis) % rank for axis in axes}


def joined(graph: Graph, node: NodeProto, apart: str, together: str) -> int | None:
    """The last axis of `together`, when it is the last axes of `apart`, and the target of the Reshape says no more than that."""
    size, shape = graph.size(together, -1), graph.shapes[apart]
    last = next(
        (
            count
            for count in range(1, len(shape) + 1)
            if all(isinstance(each, int) for each in shape[-count:]) and math.prod(shape[-count:]) == size
        ),
        None,
    )
    target = graph.initializers.get(node.input[1])
    if last is None or target is None:
        return None
    end = graph.constant(node.input[1])[-1]
    return size if end in (-1, graph.size(node.output[0], -1)) else None


def is_projection(graph: Graph, way: Way, node: NodeProto, axis: int, heads: int) -> bool:
    shape = graph.shapes.get(node.input[1]) if node.input[1] in graph.initializers else None
    if shape is None or len(shape) != 2 or shape[axis] != heads * way.narrow:
        return False
    way.weights.append((node, axis, heads))
    return True


Operand = tuple[
    NodeProto, int, int, Way | None
]  # a product, which input, the axis of the heads' width, the way to there


def separate(graph: Graph, operands: list[Operand]) -> list[Operand]:
    """Gives up every way on which something is also taken by others, who would see the zeros."""
    operands = list(operands)
    axes: dict[str, set[tuple[int, int]]] = {}
    for *_, way in operands:
        for name, where in (way.axes if way else {}).items():
            axes.setdefault(name, set()).add(where)
    if any(len(found) > 1 for found in axes.values()):
        return [(*each, None) for *each, _ in operands]
    while True:
        ways = [way for *_, way in operands if way]
        nodes = {id(node) for way in ways for node in way.nodes}
        names = {name for way in ways for name in way.axes}
        products = {(id(node), place) for node, place, _, way in operands if way}
        shared = [
            index
            for index, (*_, way) in enumerate(operands)
            if way and any(is_shared(graph, node, names, nodes, products) for node in way.nodes)
        ]
        if not shared:
            return operands
        operands[shared[0]] = (*operands[shared[0]][:3], None)


def is_shared(
    graph: Graph, node: NodeProto, names: set[str], nodes: set[int], products: set[tuple[int, int]]
) -> bool:
    return any(
        name not in names
        or name in graph.outputs
        or any(
            taken == name and id(taker) not in nodes and (id(taker), place) not in products
            for taker in graph.takers.get(name, [])
            for place, taken in enumerate(taker.input)
        )
        for name in node.output
    )


def widen(graph: Graph, ways: list[Way], width: int, done: Padded) -> None:
    """Puts the zeros into the weights at the ends of the ways, and the new sizes into what is along them."""
    weighted = {id(node): (node, *rest) for way in ways for node, *rest in way.weights}
    for node, axis, heads in weighted.values():
        node.input[1] = padded_weight(graph, node.input[1], axis, heads, ways[0].narrow, width, done)
    axes = {name: where for way in ways for name, where in way.axes.items()}
    sizes = {name: (axis, heads * width) for name, (axis, heads) in axes.items()}
    reshapes = {id(node): node for way in ways for node in way.nodes if node.op_type == "Reshape"}
    for node in reshapes.values():
        target = graph.constant(node.input[1]).copy()
        if target[-1] != -1:
            target[-1] = sizes[node.output[0]][1]
            node.input[1] = graph.add_constant(f"{node.output[0]}.target{width}", target)
    graph.redescribe(sizes)


def padded_weight(
    graph: Graph, name: str, axis: int, heads: int, narrow: int, width: int, done: Padded
) -> str:
    """@returns the name of a copy, which gets its zeros when it is stored: a weight may be large, and lie in a file."""
    padded = f"{name}.{axis}.{heads}x{width}"
    if padded in done.changes:
        return padded
    if name in graph.initializers:
        copy = graph.model.graph.initializer.add()
        copy.CopyFrom(graph.initializers[name])
        copy.name = padded
    else:
        graph.add_constant(padded, graph.constant(name))
    done.changes[padded] = weights.Change(
        np.dtype(np.float32), lambda values: zeros_added(values, axis, heads, narrow, width)
    )
    return padded


def zeros_added(values: np.ndarray, axis: int, heads: int, narrow: int, width: int) -> np.ndarray:
    shape = values.shape
    apart = values.reshape(*shape[:axis], heads, narrow, *shape[axis + 1 :])
    room = [(0, width - narrow if each == axis + 1 else 0) for each in range(apart.ndim)]
    return np.pad(apart, room).reshape(*shape[:axis], heads * width, *shape[axis + 1 :])


def pad(graph: Graph, node: NodeProto, place: int, axis: int, width: int) -> NodeProto:
    """A node before a product, whose operand it widens."""
    name, wide = node.input[place], f"{node.output[0]}.operand{place}"
    shape = graph.shapes[name]
    room = np.zeros(2 * len(shape), np.int64)
    room[axis] = width - shape[axis]  # the second half is for the ends of the axes
    graph.describe(wide, name, axis, width)
    node.input[place] = wide
    room_name = graph.add_constant(f"{wide}.room", room)
    return helper.make_node("Pad", [name, room_name], [wide], name=wide, mode="constant")


def cut(graph: Graph, node: NodeProto, narrow: int, width: int) -> NodeProto:
    """A node behind a product, whose result it makes narrow again."""
    name = node.output[0]
    wide = f"{name}.wide"
    graph.describe(wide, name, -1, width)
    node.output[0] = wide
    starts, ends, axes = (
        graph.add_constant(f"{wide}.{what}", np.array([value], np.int64))
        for what, value in (("start", 0), ("end", narrow), ("axis", -1))
    )
    return helper.make_node("Slice", [wide, starts, ends, axes], [name], name=f"{name}.cut")
