"""The exporter with a local hub: what it fetches, in which order, what it refuses, and what a second run reuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

import torch
from exporting import EXPORT, ExportTest, asked_for, code_of
from fake_hub import FakeHub
from files import list_files
from safetensors.torch import load_file, save_file

REVISION = "0123456789abcdef0123456789abcdef01234567"


class Hub(ExportTest):
    def setUp(self) -> None:
        super().setUp()
        self.hub = self.enterContext(FakeHub(self.checkpoint, "someone/standin", REVISION))

    def run_hub(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return self.run_main(
            "someone/standin", *arguments, HF_ENDPOINT=self.hub.url, HF_TOKEN="hf_secret", **environment
        )

    def run_fetch(self, *arguments: str) -> subprocess.CompletedProcess:
        """Runs only fetch.py, for tests that need no conversion."""
        return subprocess.run(
            [
                sys.executable,
                str(EXPORT / "fetch.py"),
                "--checkpoint",
                "someone/standin",
                "--out",
                str(self.out),
                *arguments,
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "HF_HOME": str(self.folder / "hf"), "HF_ENDPOINT": self.hub.url},
        )

    def accepted(self) -> tuple[str, ...]:
        return "--revision", REVISION, "--precision", "fp32", "--yes-run-code", code_of(self.hub.folder)

    def pinned(self, **changed: str) -> str:
        """A list of known checkpoints that contains this one."""
        hashes = {file.name: file.sha256 for file in list_files(self.checkpoint)} | changed
        path = self.folder / "pinned.json"
        path.write_text(
            json.dumps({"checkpoints": {"someone/standin": {"revision": REVISION, "sha256": hashes}}})
        )
        return str(path)

    def test_weights_come_after_the_code_was_accepted(self) -> None:
        first = self.run_hub("--revision", REVISION)
        self.assertEqual(first.returncode, 3, first.stderr)
        self.assertTrue(self.hub.asked_for("modeling_standin.py"))
        self.assertFalse(self.hub.asked_for(".safetensors"))
        fingerprint = asked_for(first.stderr)
        self.assertEqual(fingerprint, code_of(self.checkpoint))
        self.assertConverted(self.run_hub(*self.accepted()))
        source = json.loads((self.out / "model.json").read_text())["source"]
        self.assertEqual(
            [source["checkpoint"], source["revision"], source["code"]],
            ["someone/standin", REVISION, fingerprint],
        )
        self.assertIn("Bearer hf_secret", {authorization for _, _, authorization in self.hub.requests})
        # A second run has nothing to do and asks no question.
        self.hub.requests.clear()
        again = self.run_hub(*self.accepted())
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("is this conversion already", again.stderr)
        self.assertEqual(self.hub.requests, [])

    def test_known_code_needs_no_consent(self) -> None:
        done = self.run_fetch("--pinned", self.pinned(), "--precision", "fp32")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("byte for byte", done.stderr)
        self.assertTrue(self.hub.asked_for(".safetensors"))

    def test_a_known_revision_with_other_bytes_is_refused(self) -> None:
        self.assertRefused(
            self.run_hub("--pinned", self.pinned(**{"vocab.txt": "0" * 64})),
            "vocab.txt",
            "is pinned with 0000",
        )

    def test_known_weights_with_other_bytes_are_refused_before_they_are_fetched(self) -> None:
        self.assertRefused(
            self.run_hub("--pinned", self.pinned(**{"model.safetensors": "0" * 64})),
            "model.safetensors",
            "is pinned with 0000",
        )
        self.assertFalse(self.hub.asked_for(".safetensors"))

    def test_one_unknown_python_file_needs_consent(self) -> None:
        done = self.run_hub("--pinned", self.pinned(), "--revision", "f" * 40)
        self.assertRefused(done, "no such repository or revision")
        extra = self.copy()
        (extra / "extra.py").write_text("")
        self.hub.folder = extra
        self.assertEqual(self.run_hub("--pinned", self.pinned()).returncode, 3)

    def test_the_checkpoints_code_sees_no_token_and_no_hub(self) -> None:
        seen = self.folder / "seen"
        self.hub.folder = self.copy(
            configuration_standin__py=(
                '"""Sizes',
                f'import os\nopen({str(seen)!r}, "w").write(" ".join(os.environ.values()))\n"""Sizes',
            )
        )
        done = self.run_hub(*self.accepted())
        self.assertConverted(done)
        self.assertTrue(seen.exists())
        self.assertNotIn("hf_secret", seen.read_text())
        self.assertFalse(any("bert-base-uncased" in path for _, path, _ in self.hub.requests))

    def test_an_allowed_repository_is_fetched_without_its_code(self) -> None:
        other = self.folder / "other"
        other.mkdir()
        (other / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 77}))
        (other / "evil.py").write_text("raise SystemExit('ran')")
        commit = "a" * 40
        self.hub.others["someone/else"] = (other, commit)
        done = self.run_fetch(*self.accepted(), "--allow", f"someone/else@{commit}")
        self.assertEqual(done.returncode, 0, done.stderr)
        found = Path(json.loads(done.stdout)["allowed"]["someone/else"])
        self.assertEqual([path.name for path in found.iterdir()], ["config.json"])
        self.assertFalse(self.hub.asked_for("evil.py"))

    def test_a_download_that_broke_off_is_continued(self) -> None:
        self.hub.folder = self.copy()
        weights = load_file(self.hub.folder / "model.safetensors") | {
            "position_ids": torch.arange(2**19)
        }  # 4 MiB, and harmless
        save_file(weights, self.hub.folder / "model.safetensors", {"format": "pt"})
        self.hub.breaks_after = 5 << 19
        broken = self.run_fetch(*self.accepted())
        self.assertRefused(broken, "run again to continue")
        self.hub.breaks_after = None
        self.hub.ranges.clear()
        done = self.run_fetch(*self.accepted())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.hub.ranges, [2 << 20])

    def test_bytes_that_are_not_the_listed_ones_are_refused(self) -> None:
        self.hub.tampered["modeling_standin.py"] = (
            (self.checkpoint / "modeling_standin.py").read_bytes().replace(b"6.0", b"6.1")
        )
        self.assertRefused(self.run_hub("--revision", REVISION), "modeling_standin.py", "the hub lists")

    def test_weights_that_are_not_the_listed_ones_are_refused(self) -> None:
        data = bytearray((self.checkpoint / "model.safetensors").read_bytes())
        data[-1] ^= 1
        self.hub.tampered["model.safetensors"] = bytes(data)
        self.assertRefused(self.run_fetch(*self.accepted()), "model.safetensors", "the hub lists")

    def test_an_index_with_missing_files_is_refused_before_the_download(self) -> None:
        changed = self.folder / "index"
        shutil.copytree(self.checkpoint, changed)
        (changed / "model.safetensors.index.json").write_text(
            json.dumps({"weight_map": {"a": "model-00001-of-00005.safetensors"}})
        )
        self.hub.folder = changed
        self.assertRefused(self.run_hub("--revision", REVISION), "lacks model-00001-of-00005.safetensors")
        self.assertFalse(self.hub.asked_for(".safetensors"))

    def test_a_revision_that_can_move_is_refused(self) -> None:
        self.assertRefused(self.run_hub("--revision", "main"), '"main"', "40 hex digits")
        self.assertRefused(self.run_hub(), "no revision is known", "--revision")
        self.assertEqual(self.hub.requests, [])

    def test_an_unknown_revision_is_reported(self) -> None:
        self.assertRefused(self.run_hub("--revision", "f" * 40), "someone/standin", "f" * 40)


if __name__ == "__main__":
    unittest.main()
