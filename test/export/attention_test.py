"""The forms of attention that are compared on GPUs (scripts/gpu) give the vectors of the exported one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from exporting import GPU  # first: it says where the modules lie
from onnx import TensorProto, helper, numpy_helper

import proof
import weights
from golden_clips import golden_clip
from heads import pad_heads
from layers import Layer, attention_share, grouped
from variant import Variant, rewrite

VARIANTS = (
    "half-softmax",
    "heads-13",
    "heads-16",
    "half-softmax+heads-16",
)  # the tiny stand-in's heads are 12 wide
ATTENTIONS = {"video": 5, "text": 2}


def run(path: Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """As written: otherwise ONNX Runtime moves factors itself."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(
        None, feeds
    )


def way_before(softmax: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> list[str]:
    """The kinds of nodes from the product of queries and keys to their softmax."""
    node, kinds = makers[softmax.input[0]], []
    while node.op_type != "MatMul":
        kinds.insert(0, node.op_type)
        node = makers[node.input[0]]
    return ["MatMul", *kinds]


def projections(graph: onnx.GraphProto) -> list[tuple[int, ...]]:
    """The shapes of the matrices with which something is multiplied, in the graph's order."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    return [
        shapes[node.input[1]] for node in graph.node if node.op_type == "MatMul" and node.input[1] in shapes
    ]


class Standin(unittest.TestCase):
    """Bundles of the tiny stand-in, made as a person makes them."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        names = ",".join(("plain", *VARIANTS))
        command = [sys.executable, str(GPU / "standin.py"), "--out", str(cls.folder / "made")]
        done = subprocess.run(
            [*command, "--size", "tiny", "--depth", "2", "--precision", "fp32", "--variants", names],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    def graph(self, name: str, tower: str) -> Path:
        return self.folder / "made" / name / f"{tower}.onnx"

    def feeds(self, tower: str) -> dict[str, np.ndarray]:
        bundle = self.folder / "made" / "plain"
        golden = json.loads((bundle / "golden.json").read_text())
        if tower == "video":
            sizes = json.loads((bundle / "model.json").read_text())
            clips = [
                golden_clip(clip["seed"], sizes["frames"], sizes["resolution"]) for clip in golden["clips"]
            ]
            return {"videos": np.stack(clips)}
        ids = np.zeros((len(golden["texts"]), 64), np.int64)
        mask = np.zeros_like(ids)
        for index, text in enumerate(golden["texts"]):
            ids[index, : len(text["ids"])], mask[index, : len(text["ids"])] = text["ids"], 1
        return {"input_ids": ids, "attention_mask": mask}

    def test_every_variant_gives_the_same_vectors(self) -> None:
        for tower in ATTENTIONS:
            feeds = self.feeds(tower)
            [wanted] = run(self.graph("plain", tower), feeds)
            for name in VARIANTS:
                path = self.graph(name, tower)
                self.assertNotEqual(path.read_bytes(), self.graph("plain", tower).read_bytes())
                onnx.checker.check_model(str(path), full_check=True)
                self.assertLess(np.abs(run(path, feeds)[0] - wanted).max(), 1e-5, (name, tower))

    def test_factors_are_on_the_queries(self) -> None:
        for tower, count in ATTENTIONS.items():
            mask = ["Add"] if tower == "text" else []
            for name, expected in (("plain", ["MatMul", "Div", *mask]), ("half-softmax", ["MatMul", *mask])):
                nodes = onnx.load(self.graph(name, tower)).graph.node
                makers = {output: node for node in nodes for output in node.output}
                ways = [way_before(node, makers) for node in nodes if node.op_type == "Softmax"]
                self.assertEqual(ways, [expected] * count, (name, tower))

    def test_zeros_are_in_the_weights_and_no_node_is_added(self) -> None:
        for tower, count in ATTENTIONS.items():
            plain, padded = (onnx.load(self.graph(name, tower)).graph for name in ("plain", "heads-16"))
            self.assertEqual(*(Counter(node.op_type for node in graph.node) for graph in (plain, padded)))
            changed = Counter(
                shapes for shapes in zip(*map(projections, (plain, padded))) if shapes[0] != shapes[1]
            )
            # Two heads of 12 become two of 16. The vision tower has one matrix for queries, keys and values.
            merged = 2 if tower == "video" else 0
            expected = {
                ((24, 72), (24, 96)): merged,
                ((24, 24), (24, 32)): 3 * (count - merged),
                ((24, 24), (32, 24)): count,
            }
            self.assertEqual(changed, Counter(expected))

    def test_in_half_precision_they_agree_too(self) -> None:
        for tower in ATTENTIONS:
            feeds = self.feeds(tower)
            [wanted] = run(self.graph("plain", tower), feeds)
            for name in ("plain", *VARIANTS):
                place = self.folder / f"half-{name}"
                (place / "scratch").mkdir(parents=True, exist_ok=True)
                model = onnx.load(self.graph("plain", tower))
                changes, _ = rewrite(model, place, Variant.named(name), "bf16")
                weights.save(model, place, place / f"{tower}.onnx", changes)
                onnx.checker.check_model(str(place / f"{tower}.onnx"), full_check=True)
                found = proof.runner(place / f"{tower}.onnx", "bf16", place / "scratch", {})(feeds)
                self.assertGreater((found * wanted).sum(axis=1).min(), proof.LOWEST_COSINE["bf16"], name)
                kinds = {entry.name: entry.type.tensor_type.elem_type for entry in model.graph.value_info}
                softmax = {kinds[node.output[0]] for node in model.graph.node if node.op_type == "Softmax"}
                makers = {output: node for node in model.graph.node for output in node.output}
                ways = [way_before(node, makers) for node in model.graph.node if node.op_type == "Softmax"]
                half = "half-softmax" in name
                self.assertTrue(all(("Cast" in way) != half for way in ways), (name, tower))
                self.assertEqual(softmax, {TensorProto.BFLOAT16 if half else TensorProto.FLOAT}, name)


class Forms(unittest.TestCase):
    """Attention of 3 heads of 10 over 5 tokens, in forms that the stand-in does not have."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.random = np.random.default_rng(3)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str | np.ndarray | list, **attributes) -> str:
        names = []
        for each in inputs:
            if not isinstance(each, str):
                self.constants.append(numpy_helper.from_array(np.array(each), f"c{len(self.constants)}"))
            names.append(each if isinstance(each, str) else self.constants[-1].name)
        self.nodes.append(helper.make_node(kind, names, [f"{kind}{len(self.nodes)}"], **attributes))
        return self.nodes[-1].output[0]

    def weight(self, *shape: int) -> np.ndarray:
        return self.random.standard_normal(shape).astype(np.float32) / 4

    def projected(self, source: str = "x", bias: np.ndarray | None = None) -> str:
        product = self.add("MatMul", source, self.weight(20, 30))
        whole = self.add("Add", product, self.weight(30) if bias is None else bias)
        return self.add("Transpose", self.add("Reshape", whole, [0, 0, 3, 10]), perm=[0, 2, 1, 3])

    def attended(self, queries: str, keys: str, values: str) -> str:
        scores = self.add("MatMul", queries, self.add("Transpose", keys, perm=[0, 1, 3, 2]))
        scaled = self.add("Mul", scores, np.float32(10**-0.5))
        return self.add("MatMul", self.add("Softmax", scaled, axis=-1), values)

    def joined(self, result: str) -> str:
        heads = self.add("Transpose", result, perm=[0, 2, 1, 3])
        return self.add("MatMul", self.add("Reshape", heads, [0, 0, 30]), self.weight(30, 4))

    def assertPadded(self, outputs: list[str], by_weights: int, by_nodes: int) -> None:
        tensor = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "attention",
            [tensor("x", TensorProto.FLOAT, ["batch", 5, 20])],
            [tensor(name, TensorProto.FLOAT, None) for name in outputs],
            self.constants,
        )
        plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        plain = onnx.shape_inference.infer_shapes(plain, check_type=True, strict_mode=True)
        padded = onnx.ModelProto()
        padded.CopyFrom(plain)
        done = pad_heads(padded, self.folder, 16)
        onnx.save_model(plain, self.folder / "plain.onnx")
        weights.save(padded, self.folder, self.folder / "padded.onnx", done.changes)
        onnx.checker.check_model(str(self.folder / "padded.onnx"), full_check=True)
        self.assertEqual((done.by_weights, done.by_nodes), (by_weights, by_nodes))
        x = self.random.standard_normal((2, 5, 20)).astype(np.float32)
        found, wanted = (run(self.folder / f"{name}.onnx", {"x": x}) for name in ("padded", "plain"))
        for one, other in zip(found, wanted):
            np.testing.assert_allclose(one, other, atol=1e-5)
        inferred = onnx.shape_inference.infer_shapes(onnx.load(self.folder / "padded.onnx"), strict_mode=True)
        widths = [
            entry.type.tensor_type.shape.dim[-1].dim_value
            for node in inferred.graph.node
            if node.op_type == "Softmax"
            for product in inferred.graph.node
            if node.output[0] in product.input
            for entry in inferred.graph.value_info
            if entry.name == product.input[1]
        ]
        self.assertEqual(widths, [16] * len(widths))
        self.assertTrue(widths)

    def test_three_projections(self) -> None:
        self.assertPadded([self.joined(self.attended(*(self.projected() for _ in range(3))))], 4, 0)

    def test_one_projection_whose_parts_are_gathered(self) -> None:
        whole = self.add("Reshape", self.add("MatMul", "x", self.weight(20, 90)), [0, 0, 3, 3, -1])
        parts = self.add("Transpose", whole, perm=[2, 0, 3, 1, 4])
        three = [self.add("Gather", parts, np.int64(index), axis=0) for index in range(3)]
        self.assertPadded([self.joined(self.attended(*three))], 4, 0)

    def test_a_bias_that_the_graph_joins(self) -> None:
        bias = self.add("Concat", self.weight(10), self.weight(20), axis=0)
        three = [self.projected(), self.projected(bias=bias), self.projected()]
        self.assertPadded([self.joined(self.attended(*three))], 4, 0)

    def test_normalised_queries_and_keys_are_padded_by_nodes(self) -> None:
        norm = [self.weight(10), self.weight(10)]
        queries, keys = (self.add("LayerNormalization", self.projected(), *norm, axis=-1) for _ in range(2))
        self.assertPadded([self.joined(self.attended(queries, keys, self.projected()))], 2, 2)

    def test_a_result_that_no_projection_takes_is_cut(self) -> None:
        result = self.attended(*(self.projected() for _ in range(3)))
        self.assertPadded([self.add("Relu", result)], 3, 1)

    def test_what_others_take_stays_as_it_is(self) -> None:
        values = self.projected()
        taken = self.add("Relu", values)
        self.assertPadded(
            [self.joined(self.attended(self.projected(), self.projected(), values)), taken], 3, 1
        )

    def test_parts_of_one_projection_that_others_take_stay_together(self) -> None:
        whole = self.add("Reshape", self.add("MatMul", "x", self.weight(20, 90)), [0, 0, 3, 3, 10])
        parts = self.add("Transpose", whole, perm=[2, 0, 3, 1, 4])
        three = [self.add("Gather", parts, np.int64(index), axis=0) for index in range(3)]
        taken = self.add("Relu", three[1])
        self.assertPadded([self.joined(self.attended(*three)), taken], 1, 3)

    def test_a_product_that_is_an_output_stays_as_it_is(self) -> None:
        keys = self.projected()
        result = self.attended(self.projected(), keys, self.projected())
        self.assertPadded([self.joined(result), result, keys], 2, 2)

    def test_one_tensor_as_keys_and_values(self) -> None:
        shared = self.projected()
        self.assertPadded([self.joined(self.attended(self.projected(), shared, shared))], 4, 0)


class Layers(unittest.TestCase):
    def test_those_that_differ_only_in_numbers_are_one_line(self) -> None:
        times = {
            "_gemm_mha_v2_myl0_17": 2.0,
            "fc1_myl0_3": 5.5,
            "_gemm_mha_v2_myl0_29": 1.0,
            "fc1_myl0_15": 1.5,
        }
        layers = grouped(times)
        self.assertEqual(layers, [Layer("fc1_myl0_3", 7.0, 2), Layer("_gemm_mha_v2_myl0_17", 3.0, 2)])
        self.assertEqual(attention_share(layers), 0.3)
        self.assertEqual(attention_share([]), 0)


if __name__ == "__main__":
    unittest.main()
