"""Finds the attention of a traced graph, and moves the factor of its scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, helper

from graphs import Edits, Graph
from shapes import remove_unused

BETWEEN_SCORES_AND_SOFTMAX = {"Add", "Sub", "Mul", "Div", "Where", "Cast", "Max", "Min"}


@dataclass
class Attention:
    scores: NodeProto  # the product of queries and keys
    result: NodeProto  # the product of the softmax and the values


def find(graph: Graph) -> Iterator[Attention]:
    for softmax in graph.nodes:
        if softmax.op_type != "Softmax":
            continue
        scores, takers = scores_of(graph, softmax), graph.takers.get(softmax.output[0], [])
        if scores is None or len(takers) != 1 or takers[0].op_type != "MatMul":
            continue
        if takers[0].input[0] == softmax.output[0]:
            yield Attention(scores, takers[0])


def scores_of(graph: Graph, softmax: NodeProto) -> NodeProto | None:
    waiting = [softmax.input[0]]
    while waiting:
        node = graph.makers.get(waiting.pop())
        if node is None:
            continue
        if node.op_type == "MatMul" and not any(name in graph.initializers for name in node.input):
            return node
        if node.op_type in BETWEEN_SCORES_AND_SOFTMAX:
            waiting += node.input
    return None


def scale_queries(model: onnx.ModelProto, folder: Path) -> int:
    """(queries × keys) / c becomes (queries / c) × keys, in place, so that at most a mask is between scores and softmax.

    @returns how often.
    """
    graph, edits, renamed = Graph(model, folder), Edits(), set()
    for attention in find(graph):
        scores = attention.scores
        takers = graph.takers[scores.output[0]]
        if len(takers) != 1 or takers[0].op_type not in ("Mul", "Div"):
            continue
        scale = takers[0]
        value = graph.scalar(scale.input[1])
        if value is None:
            continue
        name = f"{scores.output[0]}.queries"
        factor = np.array(1 / value if scale.op_type == "Div" else value, np.float32)
        graph.add_constant(f"{name}.factor", factor)
        graph.describe(name, scores.input[0])
        edits.before[id(scores)] = [
            helper.make_node("Mul", [scores.input[0], f"{name}.factor"], [name], name=name)
        ]
        edits.gone.add(id(scale))
        renamed.add(scores.output[0])
        scores.input[0], scores.output[0] = name, scale.output[0]
    edits.apply(graph)
    graph.forget(renamed)
    remove_unused(model)
    return len(renamed)
