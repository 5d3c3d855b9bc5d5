"""Writes the tiny graphs of native/test/goldens/*.onnx: one per form that the engine accepts or refuses.

    python3 -m venv .venv && .venv/bin/pip install onnx==1.23.2 numpy==2.4.6
    .venv/bin/python scripts/goldens/make_models.py

Their embeddings mean nothing but are easy to check: for clips of T = 2 frames of 4 x 4, the vector is the mean red, green and
blue of frame 0 and the mean red of frame 1 (0..1), normalised; for text, the sum of the unmasked ids, their
number, the length of the padded row and 1, normalised.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save_model

OUT = Path(__file__).resolve().parents[2] / "native/test/goldens"
T, R, D = 2, 4, 4
F32, F16, U8, I64, BOOL = (getattr(TensorProto, n) for n in ("FLOAT", "FLOAT16", "UINT8", "INT64", "BOOL"))


def constant(name, values, dtype=np.int64):
    return numpy_helper.from_array(np.array(values, dtype=dtype), name)


def save(name, nodes, inputs, outputs, constants, domains=("",)):
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(*o) for o in outputs],
        constants,
    )
    opsets = [helper.make_opsetid(domain, 1 if domain else 18) for domain in domains]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="cosmos-embed tests")
    checker.check_model(model)
    save_model(model, OUT / f"{name}.onnx")


def normalised(source, output, dtype=F32):
    """Nodes from `source` to `output`, of unit length."""
    nodes = [
        helper.make_node("ReduceL2", [source, "last_axis"], ["norm"], keepdims=1),
        helper.make_node("Div", [source, "norm"], ["unit"]),
        helper.make_node("Cast", ["unit"], [output], to=dtype),
    ]
    return nodes, [constant("last_axis", [-1])]


def means(videos, layout):
    """[B, 4]: means of three channels of frame 0 and of the first one of frame 1."""
    perm = (
        []
        if layout == "BTCHW"
        else [helper.make_node("Transpose", [videos], ["btchw"], perm=[0, 2, 1, 3, 4])]
    )
    nodes = [
        *perm,
        helper.make_node(
            "ReduceMean", ["btchw" if perm else videos, "pixel_axes"], ["per_channel"], keepdims=0
        ),
        helper.make_node("Reshape", ["per_channel", "flat_shape"], ["flat"]),
        helper.make_node("Slice", ["flat", "zero", "four", "one"], ["features"]),
    ]
    return nodes, [
        *(constant("pixel_axes", [3, 4]), constant("flat_shape", [-1, 3 * T])),
        *(constant("zero", [0]), constant("four", [4]), constant("one", [1])),
    ]


def video(name, batch="batch", out_type=F32, output="video_embeddings", input_="videos", scale=255.0):
    mean_nodes, mean_constants = means("scaled", "BTCHW")
    unit_nodes, unit_constants = normalised("features", output, out_type)
    nodes = [
        helper.make_node("Cast", [input_], ["floats"], to=F32),
        helper.make_node("Div", ["floats", "scale"], ["scaled"]),
        *mean_nodes,
        *unit_nodes,
    ]
    constants = [constant("scale", scale, np.float32), *mean_constants, *unit_constants]
    save(name, nodes, [(input_, U8, [batch, T, 3, R, R])], [(output, out_type, [batch, D])], constants)


def tao_video(name, batch):
    mean_nodes, mean_constants = means("videos", "BCTHW")
    unit_nodes, unit_constants = normalised("features", "video_embedding")
    inputs = [("videos", F32, [batch, 3, T, R, R])]
    outputs = [("video_embedding", F32, [batch, D])]
    save(name, mean_nodes + unit_nodes, inputs, outputs, mean_constants + unit_constants)


def text(name, batch="batch", length="tokens", output="text_embeddings", id_type=I64, more=((), ())):
    more_nodes, more_constants = more
    unit_nodes, unit_constants = normalised("features", output)
    nodes = [
        *more_nodes,
        helper.make_node("Cast", ["input_ids"], ["ids"], to=F32),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=F32),
        helper.make_node("Mul", ["ids", "mask"], ["seen"]),
        helper.make_node("ReduceSum", ["seen", "last_axis"], ["sum"], keepdims=1),
        helper.make_node("ReduceSum", ["mask", "last_axis"], ["count"], keepdims=1),
        helper.make_node("Mul", ["ids", "zero"], ["zeros"]),
        helper.make_node("Add", ["zeros", "one_at_last" if more_nodes else "one"], ["ones"]),
        helper.make_node("ReduceSum", ["ones", "last_axis"], ["width"], keepdims=1),
        helper.make_node("ReduceMean", ["ones", "last_axis"], ["unity"], keepdims=1),
        helper.make_node("Concat", ["sum", "count", "width", "unity"], ["features"], axis=1),
        *unit_nodes,
    ]
    constants = [
        constant("zero", 0, np.float32),
        constant("one", 1, np.float32),
        *unit_constants,
        *more_constants,
    ]
    inputs = [("input_ids", id_type, [batch, length]), ("attention_mask", id_type, [batch, length])]
    save(name, nodes, inputs, [(output, F32, [batch, D])], constants)


def exhausting():
    """Nodes that allocate more memory than any processor can address, 2^52 bytes, where the ids of a batch sum to 13."""
    nodes = [
        helper.make_node("ReduceSum", ["input_ids"], ["total"], keepdims=0),
        helper.make_node("Equal", ["total", "thirteen"], ["is_unlucky"]),
        helper.make_node("Where", ["is_unlucky", "huge", "single"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["zeros_of_size"]),
        helper.make_node("ReduceSum", ["zeros_of_size"], ["nought"], keepdims=0),
        helper.make_node("Add", ["one", "nought"], ["one_at_last"]),
    ]
    return nodes, [constant("thirteen", 13), constant("huge", [2**50]), constant("single", [1])]


def bytes_video(name):
    """Multiplies the bytes of a clip, less 128, with columns of bytes: all 127, half of them 127, all 64, all -127."""
    count = T * 3 * R * R
    columns = [[127] * count, [127, 127, 0, 0] * (count // 4), [64] * count, [-127] * count]
    unit_nodes, unit_constants = normalised("features", "video_embeddings")
    nodes = [
        helper.make_node("Reshape", ["videos", "flat_shape"], ["flat"]),
        helper.make_node(
            "MatMulIntegerToFloat",
            ["flat", "weights", "one", "one", "middle"],
            ["features"],
            domain="com.microsoft",
        ),
        *unit_nodes,
    ]
    constants = [
        constant("flat_shape", [-1, count]),
        constant("weights", np.transpose(columns), np.int8),
        constant("one", 1, np.float32),
        constant("middle", 128, np.uint8),
        *unit_constants,
    ]
    inputs, outputs = [("videos", U8, ["batch", T, 3, R, R])], [("video_embeddings", F32, ["batch", D])]
    save(name, nodes, inputs, outputs, constants, domains=("", "com.microsoft"))


def slow_video(name):
    """Loops until it is cancelled (2^40 rounds), and adds zero to the clip's means."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["still_on"]),
            helper.make_node("Add", ["sum", "step"], ["next_sum"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("round_number", I64, []),
            helper.make_tensor_value_info("on", BOOL, []),
            helper.make_tensor_value_info("sum", F32, [1]),
        ],
        [
            helper.make_tensor_value_info("still_on", BOOL, []),
            helper.make_tensor_value_info("next_sum", F32, [1]),
        ],
        [constant("step", [0], np.float32)],
    )
    loop = [
        helper.make_node("Loop", ["rounds", "", "start"], ["looped"], body=body),
        helper.make_node("Add", ["video_unit", "looped"], ["video_embeddings"]),
    ]
    mean_nodes, mean_constants = means("floats", "BTCHW")
    unit_nodes, unit_constants = normalised("features", "video_unit")
    constants = [
        constant("rounds", 2**40),
        constant("start", [0], np.float32),
        *mean_constants,
        *unit_constants,
    ]
    cast = helper.make_node("Cast", ["videos"], ["floats"], to=F32)
    nodes = [cast, *mean_nodes, *unit_nodes, *loop]
    save(
        name,
        nodes,
        [("videos", U8, ["batch", T, 3, R, R])],
        [("video_embeddings", F32, ["batch", D])],
        constants,
    )


def toy_plan_twins():
    """Computes what the TensorRT double's toy plans do (test/fakes/nvinfer/plan.h), for 8 frames of 64 x 64 and 8 values."""
    frames, side, dim, tokens = 8, 64, 8, 128
    unit_nodes, unit_constants = normalised("features", "video_embeddings")
    nodes = [
        helper.make_node("Cast", ["videos"], ["floats"], to=F32),
        helper.make_node("Reshape", ["floats", "slices"], ["sliced"]),
        helper.make_node("ReduceMean", ["sliced", "last_axis"], ["means"], keepdims=0),
        helper.make_node("Add", ["means", "one"], ["features"]),
        *unit_nodes,
    ]
    constants = [
        constant("slices", [-1, dim, frames * 3 * side * side // dim]),
        constant("one", 1, np.float32),
    ]
    inputs = [("videos", U8, ["batch", frames, 3, side, side])]
    outputs = [("video_embeddings", F32, ["batch", dim])]
    save("toy_video", nodes, inputs, outputs, constants + unit_constants)

    unit_nodes, unit_constants = normalised("features", "text_embeddings")
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["seen"]),
        helper.make_node("Cast", ["seen"], ["floats"], to=F32),
        helper.make_node("Shape", ["seen"], ["length"], start=1, end=2),
        helper.make_node("Slice", ["weights", "zero", "length", "zero"], ["rows"]),
        helper.make_node("MatMul", ["floats", "rows"], ["sums"]),
        helper.make_node("Add", ["sums", "one"], ["features"]),
        *unit_nodes,
    ]
    weights = [[1 + (token + value) % 3 for value in range(dim)] for token in range(tokens)]
    constants = [
        constant("weights", weights, np.float32),
        constant("zero", [0]),
        constant("one", 1, np.float32),
    ]
    inputs = [(name, I64, ["batch", "tokens"]) for name in ("input_ids", "attention_mask")]
    outputs = [("text_embeddings", F32, ["batch", dim])]
    save("toy_text", nodes, inputs, outputs, constants + unit_constants)


toy_plan_twins()
bytes_video("video_bytes")
video("video_canonical")
video("video_batch_one", batch=1)
video("video_batch_three", batch=3)
video("video_half", out_type=F16)
video("video_wrong_input", input_="pixels")
video("video_wrong_output", output="embeddings")
video("video_nan", scale=0.0)  # 0 / 0
tao_video("video_tao", "batch")
tao_video("video_tao_one", 1)
slow_video("video_slow")
text("text_canonical")
text("text_tao", output="text_embedding")
text("text_fixed", batch=1, length=6)
text("text_wrong_type", id_type=TensorProto.INT32)
text("text_exhausting", more=exhausting())
