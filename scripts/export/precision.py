"""Rewrites a float32 graph to float16 or bfloat16 as a strongly typed engine wants it: every type is in the graph.

Half precision holds the weights, the matrix products and what lies between them. float32 keeps the preprocessing, the
arithmetic of the attention mask, everything between a score and its softmax, layer norms and the final normalisation.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, numpy_helper

from files import Refused

HALF = {"fp16": TensorProto.FLOAT16, "mixed": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
ALWAYS_WIDE = {"LayerNormalization", "Softmax", "ReduceL2"}
MEETS_WEIGHTS = {"MatMul", "Gemm", "Conv", "Gather", "Shape"}
BETWEEN_SCORE_AND_SOFTMAX = {"Add", "Sub", "Mul", "Div", "Where", "Cast", "Max", "Min", "Clip"}


def accepts(node: onnx.NodeProto, opset: int, half: int) -> bool:
    """Whether ONNX defines the node for this type; before opset 22, for example, bfloat16 has no convolution."""
    name = f"tensor({helper.tensor_dtype_to_string(half).removeprefix('TensorProto.').lower()})"
    constraints = onnx.defs.get_schema(node.op_type, opset, node.domain).type_constraints
    return all(
        name in each.allowed_type_strs for each in constraints if "tensor(float)" in each.allowed_type_strs
    )


def wide_nodes(
    model: onnx.ModelProto,
    half: int,
    too_large: set[str] = frozenset(),
    always_wide: set[str] = ALWAYS_WIDE,
) -> set[int]:
    """Indices of the nodes that stay in float32. `too_large`: tensors that 16 bits cannot hold; `always_wide`: kinds of nodes."""
    graph, opset = model.graph, next(entry.version for entry in model.opset_import if entry.domain == "")
    initializers = {tensor.name for tensor in graph.initializer}
    producers = {name: index for index, node in enumerate(graph.node) for name in node.output}
    wide = {
        index
        for index, node in enumerate(graph.node)
        if node.op_type in always_wide
        or not accepts(node, opset, half)
        or too_large.intersection((*node.input, *node.output))
    }

    untouched = {entry.name for entry in graph.input}  # by any weight matrix: preprocessing, the mask
    normalised: set[str] = set()  # after the first norm of a vector
    for index, node in enumerate(graph.node):
        data = {name for name in node.input if name and name not in initializers}
        if data and data <= untouched and node.op_type not in MEETS_WEIGHTS:
            untouched.update(node.output)
            wide.add(index)
        if node.op_type == "ReduceL2" or normalised.intersection(node.input):
            normalised.update(node.output)
            wide.add(index)

    waiting = [node for node in graph.node if node.op_type == "Softmax" and "Softmax" in always_wide]
    while waiting:
        for name in waiting.pop().input:
            index = producers.get(name)
            if (
                index is not None
                and graph.node[index].op_type in BETWEEN_SCORE_AND_SOFTMAX
                and index not in wide
            ):
                wide.add(index)
                waiting.append(graph.node[index])
    return wide


def narrow(
    model: onnx.ModelProto,
    precision: str,
    too_large: set[str] = frozenset(),
    always_wide: set[str] = ALWAYS_WIDE,
) -> set[str]:
    """Rewrites the graph in place, all but the weights' bytes. @returns the initializers to store in half precision."""
    graph, half = model.graph, HALF[precision]
    wide = wide_nodes(model, half, too_large, always_wide)
    types = {
        entry.name: entry.type.tensor_type.elem_type
        for entry in (*graph.input, *graph.value_info, *graph.output)
    }
    made_wide = {name: index in wide for index, node in enumerate(graph.node) for name in node.output}
    made_wide.update({entry.name: True for entry in graph.input})
    for entry in graph.output:
        if not made_wide[entry.name]:
            raise Refused(
                f"{entry.name}: the graph does not end in a normalisation, so its output would be {precision}"
            )

    weights = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    wanted_wide = {name for index in wide for name in graph.node[index].input if name in weights}
    wanted_half = {
        name
        for index, node in enumerate(graph.node)
        if index not in wide
        for name in node.input
        if name in weights
    }
    for tensor in [tensor for tensor in graph.initializer if tensor.name in wanted_wide & wanted_half]:
        copy = graph.initializer.add()
        copy.CopyFrom(tensor)
        copy.name = f"{tensor.name}.fp32"

    nodes: list[onnx.NodeProto] = []
    casts: set[str] = set()

    def cast(name: str, to_wide: bool) -> str:
        result = f"{name}.{'fp32' if to_wide else precision}"
        if result not in casts:
            casts.add(result)
            nodes.append(
                helper.make_node("Cast", [name], [result], to=TensorProto.FLOAT if to_wide else half)
            )
        return result

    for index, node in enumerate(graph.node):
        is_wide = index in wide
        for place, name in enumerate(node.input):
            if is_wide and name in wanted_wide & wanted_half:
                node.input[place] = f"{name}.fp32"
            elif types.get(name) == TensorProto.FLOAT and made_wide.get(name, is_wide) != is_wide:
                node.input[place] = cast(name, is_wide)
        for attribute in node.attribute if not is_wide else ():
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                attribute.i = half
            elif node.op_type == "ConstantOfShape" and attribute.t.data_type == TensorProto.FLOAT:
                attribute.t.CopyFrom(
                    helper.make_tensor("value", half, [1], numpy_helper.to_array(attribute.t).ravel())
                )
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    for entry in graph.value_info:
        if entry.type.tensor_type.elem_type == TensorProto.FLOAT and not made_wide[entry.name]:
            entry.type.tensor_type.elem_type = half
    return wanted_half
