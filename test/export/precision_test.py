"""Half precision is verified as a GPU computes it, not as a CPU does."""

from __future__ import annotations

import json
import unittest
from pathlib import Path

import numpy as np
import onnx
from exporting import ExportTest, convert  # first: it says where the exporter's modules lie

import weights

BLOCKS = "        for block in self.blocks:\n            x = block(x)\n        return x"
HALVES = {
    "fp16": onnx.TensorProto.FLOAT16,
    "mixed": onnx.TensorProto.FLOAT16,
    "bf16": onnx.TensorProto.BFLOAT16,
}


class Precision(ExportTest):
    def growing(self, factor: float) -> Path:
        """A residual that grows with the picture's contents, as in some trained towers: no weight is large, but sums are."""
        return self.copy(
            modeling_standin__py=(
                BLOCKS,
                f"""        grown = x[..., :1] * {factor}
        grown = grown * {factor}
        x = torch.cat((grown, x[..., 1:]), dim=-1)
        for block in self.blocks:
            x = block(x)
        return torch.cat((x[..., :1] / {factor} / {factor}, x[..., 1:]), dim=-1)""",
            )
        )

    def source(self) -> dict:
        return json.loads((self.out / "model.json").read_text())["source"]

    def test_values_that_overflow_on_a_gpu_are_refused(self) -> None:
        done = convert(self.growing(300), self.out, "fp16")
        self.assertRefused(
            done, "video: fp16 ends at 65504", "visual_encoder", "--precision bf16", "--precision mixed"
        )

    def test_mixed_keeps_what_overflows_in_32_bits(self) -> None:
        self.assertConverted(convert(self.growing(300), self.out, "fp16,mixed"))
        self.assertEqual(self.source()["precision"], "mixed")
        self.assertEqual(json.loads((self.out / "golden.json").read_text())["lowestCosine"], 0.999)
        magnitudes = json.loads((self.out / "proof.json").read_text())["largestMagnitudes"]["video"]
        self.assertLess(max(magnitudes.values()), 65504 / 4)
        kinds = {
            tensor.data_type
            for tensor in onnx.load(self.out / "video.onnx").graph.initializer
            if len(tensor.dims) == 2
        }
        self.assertEqual(kinds, {onnx.TensorProto.FLOAT16})  # sums stay in 32 bits, the matrices need not

    def test_a_weight_that_fp16_cannot_hold_stays_wide_in_mixed(self) -> None:
        changed = self.copy(modeling_standin__py=(BLOCKS, BLOCKS.replace("return x", "return x + 1e5 - 1e5")))
        self.assertRefused(convert(changed, self.out, "fp16"), "fp16 ends at 65504", "100,000")
        self.assertConverted(convert(changed, self.out, "mixed"))

    def test_values_close_to_overflow_give_a_warning(self) -> None:
        done = convert(self.growing(70), self.out, "fp16")
        self.assertConverted(done)
        self.assertRegex(done.stderr, r"warning: video: results reach [\d,]+ in visual_encoder")
        self.assertIn("fp16 ends at 65504", self.source()["warnings"][0])

    def test_magnitudes_are_reported_per_layer(self) -> None:
        self.assertConverted(convert(self.checkpoint, self.out, "fp16"))
        found = json.loads((self.out / "proof.json").read_text())["largestMagnitudes"]
        for layer in ("visual_encoder/blocks.0", "visual_encoder/blocks.1", "crossattention"):
            self.assertGreater(found["video"][layer], 1)
        self.assertIn("attention", found["text"])

    def test_every_precision_is_in_the_types(self) -> None:
        for precision, half in HALVES.items():
            self.out = self.folder / precision
            self.assertConverted(convert(self.checkpoint, self.out, precision))
            for name in ("video", "text"):
                graph = onnx.shape_inference.infer_shapes(
                    onnx.load(self.out / f"{name}.onnx"), strict_mode=True
                ).graph
                types = {
                    entry.name: entry.type.tensor_type.elem_type
                    for entry in (*graph.value_info, *graph.input, *graph.output)
                }
                types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
                for node in graph.node:
                    found = {types[value] for value in node.input if value in types}
                    if node.op_type in ("MatMul", "Gemm"):
                        self.assertEqual(found, {half}, node.name)
                    if node.op_type in ("Softmax", "LayerNormalization", "ReduceL2"):
                        self.assertLessEqual(
                            found, {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}, node.name
                        )
                self.assertEqual(types[graph.output[0].name], onnx.TensorProto.FLOAT)

    def test_weights_beside_the_graph_are_verified_in_every_precision(self) -> None:
        self.addCleanup(setattr, weights, "EMBEDDED_LIMIT", weights.EMBEDDED_LIMIT)
        weights.EMBEDDED_LIMIT = 1000
        for precision in ("fp32", "mixed", "bf16", "int8"):
            self.out = self.folder / precision
            self.assertConverted(
                convert(self.checkpoint if precision != "mixed" else self.growing(300), self.out, precision)
            )
            files = json.loads((self.out / "model.json").read_text())["files"]
            self.assertEqual(files["videoData"]["path"], "video.onnx.data")
            self.assertEqual(
                sorted(path.name for path in self.out.iterdir()),
                sorted(["model.json", *(entry["path"] for entry in files.values())]),
            )

    def test_the_users_videos_are_verified_too(self) -> None:
        import av

        videos = self.folder / "videos"
        videos.mkdir()
        with av.open(str(videos / "ramp.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for index in range(20):
                picture = np.full((48, 64, 3), 10 * index, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        self.assertConverted(convert(self.checkpoint, self.out, "fp16", "--videos", str(videos)))
        self.assertIn("ramp.mp4", json.loads((self.out / "proof.json").read_text())["cosines"]["video"])
        golden = json.loads((self.out / "golden.json").read_text())
        self.assertEqual([entry["seed"] for entry in golden["clips"]], [0, 1])

    def test_files_that_are_not_videos_are_named(self) -> None:
        (self.folder / "text.mp4").write_text("no video")
        self.assertRefused(
            convert(self.checkpoint, self.out, "fp32", "--videos", str(self.folder / "text.mp4")),
            "text.mp4 cannot be decoded",
        )
        self.assertRefused(
            convert(self.checkpoint, self.out, "fp32", "--videos", str(self.folder / "none.mp4")),
            "no such file",
        )


if __name__ == "__main__":
    unittest.main()
