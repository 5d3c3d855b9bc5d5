"""What a rewrite needs to know of a traced graph, and what several rewrites do to one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import weights


class Graph:
    """Who makes and who takes every tensor, and its shape: as found, changes of the model do not change it.

    Shapes must be written down in the model, as shapes.py leaves them.
    """

    def __init__(self, model: onnx.ModelProto, folder: Path):
        self.model, self.folder = model, folder
        self.nodes = list(model.graph.node)
        self.makers = {name: node for node in self.nodes for name in node.output}
        self.takers: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for name in filter(None, node.input):
                self.takers.setdefault(name, []).append(node)
        self.outputs = {entry.name for entry in model.graph.output}
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.shapes: dict[str, list[int | str | None]] = {
            entry.name: [dim.dim_param or dim.dim_value or None for dim in entry.type.tensor_type.shape.dim]
            for entry in (*model.graph.value_info, *model.graph.input, *model.graph.output)
        }
        self.shapes |= {name: list(tensor.dims) for name, tensor in self.initializers.items()}

    def size(self, name: str, axis: int) -> int | None:
        """None where the axis is not there or its size varies."""
        shape = self.shapes.get(name, [])
        size = shape[axis] if -len(shape) <= axis < len(shape) else None
        return size if isinstance(size, int) else None

    def constant(self, name: str) -> np.ndarray | None:
        """The value of a tensor that follows from weights alone: joining them may be left to the graph."""
        needed, feeds, waiting = set(), {}, [name]
        while waiting:
            each = waiting.pop()
            if each in self.initializers:
                feeds[each] = weights.load_tensor(self.initializers[each], self.folder)
            elif each not in self.makers:
                return None  # an input of the graph
            elif id(self.makers[each]) not in needed:
                needed.add(id(self.makers[each]))
                waiting += filter(None, self.makers[each].input)
        if not needed:
            return feeds[name]
        graph = helper.make_graph(
            [node for node in self.nodes if id(node) in needed],
            "constant",
            [
                helper.make_tensor_value_info(each, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
                for each, value in feeds.items()
            ],
            [helper.make_empty_tensor_value_info(name)],
        )
        model = helper.make_model(
            graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version
        )
        return ReferenceEvaluator(model).run([name], feeds)[0]

    def scalar(self, name: str) -> float | None:
        """The value of an initializer of one element."""
        tensor = self.initializers.get(name)
        if tensor is None or np.prod(tensor.dims, dtype=np.int64) != 1:
            return None
        return float(weights.load_tensor(tensor, self.folder).reshape(()))

    def describe(self, name: str, like: str, axis: int | None = None, size: int = 0) -> None:
        """Writes down the shape of a new tensor: that of `like`, with another size of one axis."""
        shape = list(self.shapes[like])
        if axis is not None:
            shape[axis] = size
        self.model.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def redescribe(self, sizes: dict[str, tuple[int, int]]) -> None:
        """Writes down another size of one axis of each of these tensors."""
        for entry in self.model.graph.value_info:
            if entry.name in sizes:
                axis, size = sizes[entry.name]
                entry.type.tensor_type.shape.dim[axis].dim_value = size

    def forget(self, names: set[str]) -> None:
        """Drops the shapes of tensors that are no more."""
        kept = [entry for entry in self.model.graph.value_info if entry.name not in names]
        del self.model.graph.value_info[:]
        self.model.graph.value_info.extend(kept)

    def add_constant(self, name: str, value: np.ndarray) -> str:
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name


class Edits:
    """Nodes to add and to drop, by the node where they are."""

    def __init__(self) -> None:
        self.before: dict[int, list[NodeProto]] = {}
        self.after: dict[int, list[NodeProto]] = {}
        self.gone: set[int] = set()

    def apply(self, graph: Graph) -> None:
        nodes = [
            each
            for node in graph.nodes
            for each in (
                *self.before.get(id(node), []),
                *([] if id(node) in self.gone else [node]),
                *self.after.get(id(node), []),
            )
        ]
        del graph.model.graph.node[:]
        graph.model.graph.node.extend(nodes)
