"""The exporter from outside: `main.py` on a stand-in checkpoint, from a folder and from a hub. `npm run test:export` runs it."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

HERE = Path(__file__).resolve().parent
EXPORT = HERE.parents[1] / "scripts" / "export"
sys.path[:0] = [str(EXPORT), str(EXPORT / "standin"), str(HERE)]

import weights  # noqa: E402
from bundles import FORMS, export  # noqa: E402
from fake_hub import FakeHub  # noqa: E402
from files import Refused  # noqa: E402
from golden_clips import golden_clip  # noqa: E402
from make import make  # noqa: E402

REVISION = "0123456789abcdef0123456789abcdef01234567"


def unpack(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


class ExportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.shared = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.checkpoint = cls.shared / "standin"
        make("tiny", cls.checkpoint)

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.out = self.folder / "bundle"

    def copy(self, **replacements: tuple[str, str]) -> Path:
        """The checkpoint with (old, new) replaced in files named by keyword, `__` standing for a dot."""
        copy = self.folder / "changed"
        shutil.copytree(self.checkpoint, copy)
        for name, (old, new) in replacements.items():
            path = copy / name.replace("__", ".")
            text = path.read_text()
            self.assertIn(old, text)
            path.write_text(text.replace(old, new))
        return copy

    def assertRefused(self, done: subprocess.CompletedProcess, *words: str) -> None:
        self.assertEqual(done.returncode, 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertNothingWritten()

    def assertNothingWritten(self) -> None:
        self.assertFalse(self.out.exists())
        self.assertEqual([path.name for path in self.folder.iterdir() if "partial" in path.name], [])

    def run_main(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, str(EXPORT / "main.py"), "--out", str(self.out), *arguments], stderr=subprocess.PIPE, text=True,
                              env={**os.environ, "COSMOS_EMBED_PYTHON": sys.executable, "HF_HOME": str(self.folder / "hf"), **environment})


class Local(ExportTest):
    def test_code_runs_only_after_its_fingerprint_was_accepted(self) -> None:
        (trap := self.folder / "ran").unlink(missing_ok=True)
        changed = self.copy(configuration_standin__py=('"""Sizes', f'open({str(trap)!r}, "w")\n"""Sizes'))
        first = self.run_main("--checkpoint", str(changed))
        self.assertEqual(first.returncode, 3, first.stderr)
        for path in changed.iterdir():
            self.assertRegex(first.stderr, rf"[0-9a-f]{{64}}  +[\d,]+  {re.escape(path.name)}" if path.name != "added_tokens.json" else "")
        wrong = self.run_main("--checkpoint", str(changed), "--run-code", "0" * 16)
        self.assertEqual(wrong.returncode, 3)
        self.assertFalse(trap.exists())
        self.assertNothingWritten()
        accepted = re.search(r"--run-code ([0-9a-f]{16})", first.stderr).group(1)
        self.assertEqual(self.run_main("--checkpoint", str(changed), "--run-code", accepted).returncode, 0)
        self.assertTrue(trap.exists())

    def test_code_of_another_repository_is_refused(self) -> None:
        changed = self.copy(config__json=('"modeling_standin.', '"someone/else--modeling_standin.'))
        self.assertRefused(export(changed, self.out), "someone/else--modeling_standin", "another repository")

    def test_pickled_weights_are_refused(self) -> None:
        changed = self.copy()
        (changed / "model.safetensors").rename(changed / "pytorch_model.bin")
        self.assertRefused(export(changed, self.out), "no *.safetensors")

    def test_an_existing_folder_is_left_alone(self) -> None:
        self.out.mkdir()
        done = self.run_main("--checkpoint", str(self.checkpoint))
        self.assertEqual(done.returncode, 2)
        self.assertEqual(list(self.out.iterdir()), [])

    def test_stopped_midway_leaves_nothing(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path[:0] = {[str(EXPORT), str(EXPORT / 'standin')]!r}; from bundles import export, Path; "
             f"export(Path({str(self.checkpoint)!r}), Path({str(self.out)!r}))"], start_new_session=True)
        while not any("partial" in path.name for path in self.folder.iterdir()):
            time.sleep(0.05)
            self.assertIsNone(process.poll())
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        until = time.monotonic() + 30
        while time.monotonic() < until and any("partial" in path.name for path in self.folder.iterdir()):
            time.sleep(0.05)
        self.assertNothingWritten()


class Preprocessing(ExportTest):
    def test_mean_and_deviation_are_found_and_folded(self) -> None:
        changed = self.folder / "changed"
        make("tiny", changed, mean=(0.48, 0.45, 0.41), std=(0.27, 0.26, 0.28))
        done = export(changed, self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("0.01452433", json.loads((self.out / "model.json").read_text())["source"]["pictures"])  # 1 / 255 / 0.27

    def test_channels_first_is_found_and_folded(self) -> None:
        changed = self.copy(processing_standin__py=("values.unflatten(0, (batch, frames))", "values.unflatten(0, (batch, frames)).transpose(1, 2)"),
                            modeling_standin__py=("        batch, frames = videos.shape[:2]", "        videos = videos.transpose(1, 2)\n        batch, frames = videos.shape[:2]"))
        done = export(changed, self.out)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_no_scale_and_offset_can_say_is_refused(self) -> None:
        changed = self.copy(processing_standin__py=("resized / 255", "(resized / 255) ** 2.2"))
        self.assertRefused(export(changed, self.out), "not a scale and an offset per channel")
        mirrored = self.folder / "mirrored"
        shutil.copytree(self.checkpoint, mirrored)
        path = mirrored / "processing_standin.py"
        path.write_text(path.read_text().replace("resized / 255", "resized.flip(-1) / 255"))
        self.assertRefused(export(mirrored, self.out), "not a scale and an offset per channel")

    def test_a_crop_is_told(self) -> None:
        changed = self.copy(processing_standin__py=("pictures.flatten(0, 1).float()", "pictures.flatten(0, 1).float()[..., :self.resolution, :self.resolution]"))
        done = export(changed, self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        average = float(re.search(r"84x56 differs from Pillow's bilinear by ([\d.]+)", done.stderr).group(1))
        self.assertGreater(average, 5)


class Graphs(ExportTest):
    def test_a_batch_size_that_tracing_froze_is_refused(self) -> None:
        changed = self.copy(modeling_standin__py=(".expand(tokens.shape[0], -1, -1)", ".expand(int(tokens.shape[0]), -1, -1)"))
        self.assertRefused(export(changed, self.out), "tracing took")

    def test_half_precision_is_in_the_types(self) -> None:
        for precision, half in (("fp16", onnx.TensorProto.FLOAT16), ("bf16", onnx.TensorProto.BFLOAT16)):
            out = self.folder / precision
            done = export(self.checkpoint, out, "canonical", precision)
            self.assertEqual(done.returncode, 0, done.stderr)
            for name in ("video", "text"):
                graph = onnx.shape_inference.infer_shapes(onnx.load(out / f"{name}.onnx"), strict_mode=True).graph
                types = {entry.name: entry.type.tensor_type.elem_type for entry in (*graph.value_info, *graph.input, *graph.output)}
                types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
                for node in graph.node:
                    found = {types[value] for value in node.input if value in types}
                    if node.op_type in ("MatMul", "Gemm"):
                        self.assertEqual(found, {half}, node.name)
                    if node.op_type in ("Softmax", "LayerNormalization", "ReduceL2"):
                        self.assertLessEqual(found, {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}, node.name)
                self.assertEqual(types[graph.output[0].name], onnx.TensorProto.FLOAT)

    def test_float16_that_would_overflow_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "some.weight holds 100000, float16 ends at 65504"):
            weights.as_type("some.weight", np.array([1e5], np.float32), onnx.TensorProto.FLOAT16)

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
        vectors = [onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, clips)[0] for path in (source, written[0])]
        np.testing.assert_array_equal(*vectors)

    def test_no_shape_computation_is_left_around_attention(self) -> None:
        graph = onnx.load(HERE / "bundles" / "canonical" / "text.onnx").graph
        constants = {tensor.name for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Reshape":
                self.assertIn(node.input[1], constants)

    def test_the_committed_bundles_are_what_the_exporter_makes(self) -> None:
        for form in FORMS:
            committed, out = HERE / "bundles" / form, self.folder / form
            done = export(self.checkpoint, out, form)
            self.assertEqual(done.returncode, 0, done.stderr)
            old, new = (json.loads((folder / "golden.json").read_text()) for folder in (committed, out))
            for key in ("clips", "texts"):
                np.testing.assert_allclose([unpack(entry["vector"]) for entry in old[key]], [unpack(entry["vector"]) for entry in new[key]], atol=1e-5)
            self.assertEqual((committed / "tokenizer.json").read_text(), (out / "tokenizer.json").read_text())
            for name in ("video.onnx", "text.onnx"):
                operations = [[node.op_type for node in onnx.load(folder / name).graph.node] for folder in (committed, out)]
                self.assertEqual(*operations)


class Hub(ExportTest):
    def setUp(self) -> None:
        super().setUp()
        self.hub = self.enterContext(FakeHub(self.checkpoint, "someone/standin", REVISION))

    def run_hub(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return self.run_main("--checkpoint", "someone/standin", *arguments, HF_ENDPOINT=self.hub.url, HF_TOKEN="hf_secret", **environment)

    def accepted(self) -> str:
        first = self.run_hub("--revision", REVISION)
        self.assertEqual(first.returncode, 3, first.stderr)
        return re.search(r"--run-code ([0-9a-f]{16})", first.stderr).group(1)

    def test_weights_come_after_the_code_was_accepted(self) -> None:
        fingerprint = self.accepted()
        self.assertTrue(self.hub.asked_for("modeling_standin.py"))
        self.assertFalse(self.hub.asked_for(".safetensors"))
        done = self.run_hub("--revision", REVISION, "--run-code", fingerprint, "--precision", "fp32")
        self.assertEqual(done.returncode, 0, done.stderr)
        source = json.loads((self.out / "model.json").read_text())["source"]
        self.assertEqual([source["checkpoint"], source["revision"], source["code"]], ["someone/standin", REVISION, fingerprint])
        self.assertIn("Bearer hf_secret", {authorization for _, _, authorization in self.hub.requests})

    def test_the_checkpoints_code_sees_no_token_and_no_hub(self) -> None:
        seen = self.folder / "seen"
        changed = self.copy(configuration_standin__py=('"""Sizes', f'import os\nopen({str(seen)!r}, "w").write(" ".join([*os.environ.values(), os.environ["HF_HUB_OFFLINE"]]))\n"""Sizes'))
        self.hub.folder = changed
        done = self.run_hub("--revision", REVISION, "--run-code", self.accepted())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("hf_secret", seen.read_text())
        self.assertTrue(seen.read_text().endswith(" 1"))

    def test_bytes_that_are_not_the_listed_ones_are_refused(self) -> None:
        self.hub.tampered["modeling_standin.py"] = (self.checkpoint / "modeling_standin.py").read_bytes().replace(b"6.0", b"6.1")
        self.assertRefused(self.run_hub("--revision", REVISION), "modeling_standin.py", "the hub lists")

    def test_weights_that_are_not_the_listed_ones_are_refused(self) -> None:
        data = bytearray((self.checkpoint / "model.safetensors").read_bytes())
        data[-1] ^= 1
        fingerprint = self.accepted()
        self.hub.tampered["model.safetensors"] = bytes(data)
        self.assertRefused(self.run_hub("--revision", REVISION, "--run-code", fingerprint), "model.safetensors", "the hub lists")

    def test_a_revision_that_can_move_is_refused(self) -> None:
        self.assertRefused(self.run_hub("--revision", "main"), '"main"', "40 hex digits")
        self.assertRefused(self.run_hub(), "no revision is known", "--revision")
        self.assertEqual(self.hub.requests, [])

    def test_an_unknown_revision_is_told(self) -> None:
        self.assertRefused(self.run_hub("--revision", "f" * 40), "someone/standin", "f" * 40)


if __name__ == "__main__":
    unittest.main()
