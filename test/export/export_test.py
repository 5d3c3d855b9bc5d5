"""The whole exporter: `main.py` on a stand-in checkpoint in a folder, and the graphs that it writes. Run by `npm run test:export`."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import time
import unittest

import numpy as np
import onnx
import onnxruntime
from exporting import HERE, ExportTest, asked_for, convert  # first: it says where the exporter's modules lie

import weights
from bundles import MADE
from golden_clips import golden_clip
from make import make


def unpack(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


class Local(ExportTest):
    def test_code_runs_only_after_its_fingerprint_was_accepted(self) -> None:
        (trap := self.folder / "ran").unlink(missing_ok=True)
        changed = self.copy(configuration_standin__py=('"""Sizes', f'open({str(trap)!r}, "w")\n"""Sizes'))
        first = self.run_main("--checkpoint", str(changed))
        self.assertEqual(first.returncode, 3, first.stderr)
        for path in changed.iterdir():
            self.assertRegex(
                first.stderr,
                rf"[0-9a-f]{{64}}  +[\d,]+  {re.escape(path.name)}"
                if path.name != "added_tokens.json"
                else "",
            )
        wrong = self.run_main("--checkpoint", str(changed), "--yes-run-code", "0" * 16)
        self.assertEqual(wrong.returncode, 3)
        self.assertFalse(trap.exists())
        self.assertNothingWritten()
        accepted = asked_for(first.stderr)
        self.assertEqual(json.loads(first.stdout), {"fingerprint": accepted, "files": 3})
        self.assertEqual(
            self.run_main(str(changed), "--yes-run-code", accepted, "--precision", "fp32").returncode, 0
        )
        self.assertTrue(trap.exists())

    def test_an_existing_folder_is_left_alone(self) -> None:
        self.out.mkdir()
        done = self.run_main(str(self.checkpoint))
        self.assertEqual(done.returncode, 2)
        self.assertIn("exists", done.stderr)
        self.assertEqual(list(self.out.iterdir()), [])

    def test_an_aborted_export_leaves_nothing(self) -> None:
        process, _ = self.start_main()
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()
        until = time.monotonic() + 30
        while time.monotonic() < until and self.partial():
            time.sleep(0.05)
        self.assertNothingWritten()


class Preprocessing(ExportTest):
    def test_mean_and_deviation_are_found_and_folded(self) -> None:
        changed = self.folder / "changed"
        make("tiny", changed, mean=(0.48, 0.45, 0.41), std=(0.27, 0.26, 0.28))
        done = convert(changed, self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(
            "0.01452433", json.loads((self.out / "model.json").read_text())["source"]["pictures"]
        )  # 1 / 255 / 0.27

    def test_channels_first_is_found_and_folded(self) -> None:
        changed = self.copy(
            processing_standin__py=(
                "values.unflatten(0, (batch, frames))",
                "values.unflatten(0, (batch, frames)).transpose(1, 2)",
            ),
            modeling_standin__py=(
                "        batch, frames = videos.shape[:2]",
                "        videos = videos.transpose(1, 2)\n        batch, frames = videos.shape[:2]",
            ),
        )
        done = convert(changed, self.out)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_preprocessing_other_than_scale_and_offset_is_refused(self) -> None:
        changed = self.copy(processing_standin__py=("resized / 255", "(resized / 255) ** 2.2"))
        self.assertRefused(convert(changed, self.out), "not a scale and an offset per channel")
        mirrored = self.folder / "mirrored"
        shutil.copytree(self.checkpoint, mirrored)
        path = mirrored / "processing_standin.py"
        path.write_text(path.read_text().replace("resized / 255", "resized.flip(-1) / 255"))
        self.assertRefused(convert(mirrored, self.out), "not a scale and an offset per channel")

    def test_another_resize_is_a_warning_with_its_cosine(self) -> None:
        changed = self.copy(
            processing_standin__py=(
                "pictures.flatten(0, 1).float()",
                "pictures.flatten(0, 1).float()[..., :self.resolution, :self.resolution]",
            )
        )
        done = convert(changed, self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        average = float(re.search(r"84x56 differs from Pillow's bilinear by ([\d.]+)", done.stderr).group(1))
        self.assertGreater(average, 5)
        warning = json.loads((self.out / "model.json").read_text())["source"]["warnings"][0]
        self.assertIn(f"warning: {warning}", done.stderr)
        self.assertLess(
            float(
                re.search(r"the lowest cosine between the vectors of the two is (-?[\d.]+)\.", warning).group(
                    1
                )
            ),
            0.999,
        )

    def test_the_same_resize_gives_no_warning(self) -> None:
        self.assertConverted(convert(self.checkpoint, self.out))
        self.assertNotIn("warnings", json.loads((self.out / "model.json").read_text())["source"])


class Graphs(ExportTest):
    def test_a_batch_size_that_tracing_froze_is_refused(self) -> None:
        changed = self.copy(
            modeling_standin__py=(".expand(tokens.shape[0], -1, -1)", ".expand(int(tokens.shape[0]), -1, -1)")
        )
        self.assertRefused(convert(changed, self.out), "tracing took")

    def test_large_weights_lie_beside_the_graph(self) -> None:
        source = HERE / "bundles" / "canonical" / "video.onnx"
        limit, weights.EMBEDDED_LIMIT = weights.EMBEDDED_LIMIT, 1000
        try:
            written = weights.save(onnx.load(source), self.folder, self.folder / "video.onnx")
        finally:
            weights.EMBEDDED_LIMIT = limit
        self.assertEqual([path.name for path in written], ["video.onnx", "video.onnx.data"])
        self.assertLess(written[0].stat().st_size, source.stat().st_size / 2)
        clips = {"videos": np.stack([golden_clip(9, 8, 28)])}
        vectors = [
            onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, clips)[0]
            for path in (source, written[0])
        ]
        np.testing.assert_array_equal(*vectors)

    def test_no_shape_computation_is_left_around_attention(self) -> None:
        graph = onnx.load(HERE / "bundles" / "canonical" / "text.onnx").graph
        constants = {tensor.name for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Reshape":
                self.assertIn(node.input[1], constants)

    def test_the_committed_bundles_are_what_the_exporter_makes(self) -> None:
        for name, (form, precision) in MADE.items():
            committed, out = HERE / "bundles" / name, self.folder / name
            done = convert(self.checkpoint, out, precision, "--form", form, "--clips", "4")
            self.assertEqual(done.returncode, 0, done.stderr)
            old, new = (json.loads((folder / "golden.json").read_text()) for folder in (committed, out))
            for key in ("clips", "texts"):
                np.testing.assert_allclose(
                    [unpack(entry["vector"]) for entry in old[key]],
                    [unpack(entry["vector"]) for entry in new[key]],
                    atol=1e-5,
                )
            self.assertEqual((committed / "tokenizer.json").read_text(), (out / "tokenizer.json").read_text())
            for name in ("video.onnx", "text.onnx"):
                operations = [
                    [node.op_type for node in onnx.load(folder / name).graph.node]
                    for folder in (committed, out)
                ]
                self.assertEqual(*operations)


if __name__ == "__main__":
    unittest.main()
