"""Graphs for CPUs with 8-bit matrix products."""

from __future__ import annotations

import json
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from exporting import HERE, ExportTest, convert  # first: it says where the exporter's modules lie
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file, save_file

import int8
import weights
from golden_clips import golden_clip
from proof import session_options

BUNDLE = HERE / "bundles" / "int8"


def session(model: onnx.ModelProto | Path) -> onnxruntime.InferenceSession:
    content = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, session_options(), providers=["CPUExecutionProvider"])


class Products(unittest.TestCase):
    """Graphs of a single matrix product in many shapes."""

    def graph(
        self, rank: int, wide: int, out: int, weight: np.ndarray, takers: tuple[str, ...] = ()
    ) -> onnx.ModelProto:
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["y"]),
            *(helper.make_node(kind, ["w", "w"], [f"{kind}.y"]) for kind in takers),
        ]
        shape = [f"axis{axis}" for axis in range(rank - 1)]
        graph = helper.make_graph(
            nodes,
            "product",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [*shape, wide])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [*shape, out])],
            [numpy_helper.from_array(weight, "w")],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    def quantised(self, model: onnx.ModelProto) -> onnx.ModelProto:
        changes = int8.quantise(model, Path("."))
        for tensor in model.graph.initializer:
            weights.replace(tensor, weights.stored(tensor, Path("."), changes))
        onnx.checker.check_model(model, full_check=True)
        return model

    def test_approximate_those_of_floats_at_any_scale_of_rows_and_columns(self) -> None:
        for seed in range(12):
            random = np.random.default_rng(seed)
            rank, wide, out = (int(random.integers(*ends)) for ends in ((2, 5), (1, 300), (1, 40)))
            weight = (random.standard_normal((wide, out)) * 10.0 ** random.integers(-4, 4, out)).astype(
                np.float32
            )
            rows = random.standard_normal((*random.integers(1, 5, rank - 1), wide)).astype(np.float32)
            rows *= 10.0 ** random.integers(-6, 6, (*rows.shape[:-1], 1))
            rows[(0,) * (rank - 1)] = 0
            weight[:, 0] = 0
            found = session(self.quantised(self.graph(rank, wide, out, weight))).run(None, {"x": rows})[0]
            # Half a quantisation step per factor, times the number of summands.
            reach = (
                np.abs(rows).max(axis=-1, keepdims=True) * np.abs(weight).max(axis=0) * wide * 2 * 0.51 / 127
            )
            self.assertLessEqual(
                float((np.abs(found - rows @ weight) - reach).max()), 0, (seed, rank, wide, out)
            )

    def test_are_exact_where_many_bytes_are_large(self) -> None:
        """Processors without VNNI would cut off sums of two such products, unless ONNX Runtime is told not to."""
        for seed in range(4):
            random = np.random.default_rng(seed)
            wide = (96, 768, 1408, 3072)[seed]
            signs = np.where(random.random((8, wide)) < 0.02, -1, 1)
            rows = (signs * random.uniform(0.9, 1, (8, wide))).astype(np.float32)
            weight = (np.sign(random.standard_normal(32)) * random.uniform(0.9, 1, (wide, 32))).astype(
                np.float32
            )
            found = session(self.quantised(self.graph(2, wide, 32, weight))).run(None, {"x": rows})[0]
            np.testing.assert_allclose(found, rows @ weight, rtol=0.01)

    def test_a_shared_matrix_is_not_quantised(self) -> None:
        model = self.graph(2, 5, 5, np.eye(5, dtype=np.float32), takers=("Add",))
        self.assertEqual(int8.quantise(model, Path(".")), {})
        self.assertEqual([node.op_type for node in model.graph.node], ["MatMul", "Add"])


class Bundle(ExportTest):
    def test_has_weights_of_bytes_and_scores_of_floats(self) -> None:
        self.assertConverted(convert(self.checkpoint, self.out, "int8"))
        manifest = json.loads((self.out / "model.json").read_text())
        self.assertEqual(manifest["source"]["precision"], "int8")
        self.assertEqual(json.loads((self.out / "golden.json").read_text())["lowestCosine"], 0.995)
        graph = onnx.load(self.out / "video.onnx").graph
        types = {tensor.name: tensor.data_type for tensor in graph.initializer}
        products = [node for node in graph.node if node.op_type == "MatMulIntegerToFloat"]
        self.assertGreater(len(products), 20)
        self.assertEqual({types[node.input[1]] for node in products}, {TensorProto.INT8})
        for node in graph.node:  # scores and what they weigh
            if node.op_type == "MatMul":
                self.assertFalse(set(node.input) & set(types), node.name)

    def test_gives_a_clip_the_same_vector_whatever_it_is_batched_with(self) -> None:
        clip, other = golden_clip(3, 8, 28), np.zeros((8, 3, 28, 28), np.uint8)
        other[::2] = 255
        run = session(BUNDLE / "video.onnx").run
        alone, together = (
            run(None, {"videos": np.stack(clips)})[0][0] for clips in ([clip], [clip, other, other])
        )
        np.testing.assert_allclose(alone, together, atol=1e-6)

    def test_is_refused_if_one_number_of_a_row_dominates_the_others(self) -> None:
        """As in trained towers: a norm makes one number large, and the following matrix compensates for it."""
        drowned = self.copy()
        state = load_file(drowned / "model.safetensors")
        for block in range(2):
            for norm, matrix in (("norm1", "qkv"), ("norm2", "fc1")):
                state[f"visual_encoder.blocks.{block}.{norm}.weight"][0] *= 1e4
                state[f"visual_encoder.blocks.{block}.{norm}.bias"][0] *= 1e4
                state[f"visual_encoder.blocks.{block}.{matrix}.weight"][:, 0] /= 1e4
        save_file(state, drowned / "model.safetensors", {"format": "pt"})
        self.assertConverted(convert(drowned, self.out))
        self.out = self.folder / "int8"
        self.assertRefused(
            convert(drowned, self.out, "int8"),
            "video: the lowest cosine",
            "in int8",
            "expected at least 0.995",
            "--precision fp32",
        )


if __name__ == "__main__":
    unittest.main()
