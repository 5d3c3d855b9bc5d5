"""Makes a traced graph say its shapes plainly.

Tracing records every `x.shape[0]` as nodes. Engines then neither recognise attention (they look for a Reshape to
constants) nor plan memory well. Here the graph is walked at several input sizes without running it: what a shape
computation yields at all of them becomes a constant, and a Reshape whose target varies says 0 (as the input) or -1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from files import Refused

SMALL = 4096  # elements; a shape computation never holds more, a weight nearly always does


class Walk:
    """What is known of every tensor at given sizes of the named axes: its type, and its value if shapes alone decide it."""

    def __init__(self, model: onnx.ModelProto, sizes: dict[str, int]):
        self.model = model
        self.sizes = sizes
        self.opsets = {entry.domain: entry.version for entry in model.opset_import}
        self.types: dict[str, onnx.TypeProto] = {}
        self.values: dict[str, np.ndarray] = {}
        for tensor in model.graph.initializer:
            self.types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            if np.prod(tensor.dims, dtype=np.int64) <= SMALL and tensor.data_location != TensorProto.EXTERNAL:
                self.values[tensor.name] = numpy_helper.to_array(tensor)
        for entry in model.graph.input:
            kind = entry.type.tensor_type
            shape = [sizes[dim.dim_param] if dim.dim_param else dim.dim_value for dim in kind.shape.dim]
            self.types[entry.name] = helper.make_tensor_type_proto(kind.elem_type, shape)
        for node in model.graph.node:
            self._visit(node)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(dim.dim_value for dim in self.types[name].tensor_type.shape.dim)

    def _visit(self, node: onnx.NodeProto) -> None:
        if node.op_type == "Shape":
            dims = np.array(self.shape(node.input[0]), np.int64)
            limits = {a.name: a.i for a in node.attribute}
            outputs = [dims[limits.get("start", 0) : limits.get("end", len(dims))]]
        elif all(name in self.values for name in node.input if name) and self._is_small(node):
            outputs = self._evaluate(node)
        else:
            return self._infer(node)
        for name, value in zip(node.output, outputs):
            self.values[name] = np.asarray(value)
            self.types[name] = helper.make_tensor_type_proto(
                helper.np_dtype_to_tensor_dtype(self.values[name].dtype), self.values[name].shape
            )

    def _is_small(self, node: onnx.NodeProto) -> bool:
        """Whether the outputs are worth computing: shapes decide the size before anything is allocated."""
        self._infer(node)
        return all(np.prod(self.shape(name), dtype=np.int64) <= SMALL for name in node.output)

    def _evaluate(self, node: onnx.NodeProto) -> list[np.ndarray]:
        feeds = {name: self.values[name] for name in node.input if name}
        graph = helper.make_graph(
            [node],
            "node",
            [helper.make_value_info(name, self.types[name]) for name in feeds],
            [helper.make_empty_tensor_value_info(name) for name in node.output],
        )
        model = helper.make_model(
            graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version
        )
        return ReferenceEvaluator(model).run(None, feeds)

    def _infer(self, node: onnx.NodeProto) -> None:
        schema = onnx.defs.get_schema(node.op_type, self.opsets[node.domain], node.domain)
        data = {
            name: numpy_helper.from_array(self.values[name], name)
            for name in node.input
            if name in self.values
        }
        known = {name: self.types[name] for name in node.input if name}
        try:
            self.types.update(
                onnx.shape_inference.infer_node_outputs(
                    schema,
                    node,
                    known,
                    data,
                    opset_imports=list(self.model.opset_import),
                    ir_version=self.model.ir_version,
                )
            )
        except onnx.shape_inference.InferenceError as error:
            shapes = " and ".join(str(self.shape(name)) for name in known)
            raise Refused(
                f"{node.name} cannot take {shapes} when {self.sizes}: tracing took a size for a constant"
            ) from error


def shape_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """The nodes whose outputs follow from shapes alone, whatever the inputs hold."""
    settled = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Shape" or all(name in settled for name in node.input if name):
            settled.update(node.output)
            yield node


def reshape_target(inputs: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> np.ndarray | None:
    """One constant target that takes every input shape to its output shape, or None when one constant cannot.

    Leading axes that stay as they are become 0: that is how engines expect batch and sequence to be passed on.
    """
    ranks = {len(shape) for shape in outputs}
    if len(ranks) != 1:
        return None
    target, leading = [], True
    for axis, sizes in enumerate(zip(*outputs)):
        leading = leading and all(shape[axis : axis + 1] == (size,) for shape, size in zip(inputs, sizes))
        target.append(0 if leading else sizes[0] if len(set(sizes)) == 1 else -1)
    return np.array(target, np.int64) if target.count(-1) <= 1 and all(outputs[0]) else None


def specialise(model: onnx.ModelProto, sizes: list[dict[str, int]]) -> None:
    """Replaces shape computations by constants, in place. `sizes`: of the named axes, at least two sets, well apart."""
    walks = [Walk(model, each) for each in sizes]
    for output in model.graph.output:
        for walk in walks:
            if walk.shape(output.name)[0] != walk.sizes["batch"]:
                raise Refused(
                    f"{output.name} has {walk.shape(output.name)[0]} rows for a batch of {walk.sizes['batch']}: "
                    "tracing took the batch size for a constant"
                )
    move_constants(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    constants: dict[str, np.ndarray] = {}
    replaced: dict[str, str] = {}

    def constant(value: np.ndarray, name: str) -> str:
        constants[name] = value
        return name

    for node in shape_nodes(model):
        for name in node.output:
            found = [walk.values.get(name) for walk in walks]
            if all(value is not None and np.array_equal(value, found[0]) for value in found):
                replaced[name] = constant(found[0], f"{name}.constant")
    for node in model.graph.node:
        # Shapes are known by the names of the trace, so they are looked up before a name is replaced.
        shapes = (
            [[walk.shape(name) for walk in walks] for name in (node.input[0], node.output[0])]
            if node.op_type == "Reshape"
            else []
        )
        for index, name in enumerate(node.input):
            node.input[index] = replaced.get(name, name)
        if shapes:
            target = reshape_target(*shapes)
            if target is not None:
                node.input[1] = constant(target, f"{node.output[0]}.target")
        if node.op_type == "Add" and node.input[0] in weights:
            node.input[:] = reversed(node.input)  # tracing writes bias + x, engines look for x + bias
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    remove_unused(model)
    name_axes(model, walks)


def move_constants(model: onnx.ModelProto) -> None:
    """Turns Constant nodes into initializers, in place, so that there is one place to look for a value."""
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = model.graph.initializer.add()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def name_axes(model: onnx.ModelProto, walks: list[Walk]) -> None:
    """Writes the shape of every intermediate tensor, with the axes' names: engines fuse only what they know to be equal."""
    del model.graph.value_info[:]
    outputs = {entry.name for entry in model.graph.output}
    for name in (name for node in model.graph.node for name in node.output if name and name not in outputs):
        shape = []
        for values in zip(*(walk.shape(name) for walk in walks)):
            same = [
                axis
                for axis in walks[0].sizes
                if all(value == walk.sizes[axis] for value, walk in zip(values, walks))
            ]
            shape.append(same[0] if same else values[0] if len(set(values)) == 1 else None)
        kind = walks[0].types[name].tensor_type.elem_type
        model.graph.value_info.append(helper.make_tensor_value_info(name, kind, shape))


def remove_unused(model: onnx.ModelProto) -> None:
    """Drops nodes and initializers that no output needs, in place."""
    needed = {entry.name for entry in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    weights = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
