"""Common failures are reported early, in a sentence, and leave nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

from exporting import EXPORT, ExportTest, convert, converter, edit

INDEX = "model.safetensors.index.json"


class Early(ExportTest):
    """Checks that run before any package is installed: COSMOS_EMBED_PYTHON is not even a program here."""

    def early(self, *arguments: str) -> subprocess.CompletedProcess:
        return self.run_main(*arguments, COSMOS_EMBED_PYTHON=str(self.folder / "no-python"))

    def test_a_valid_folder_passes_all_checks(self) -> None:
        done = self.early(str(self.checkpoint))
        self.assertEqual(done.returncode, 1)
        self.assertIn("COSMOS_EMBED_PYTHON", done.stderr)

    def test_a_mistyped_folder(self) -> None:
        for name in ("standin", "./standin", str(self.folder / "none" / "standin"), f"{self.folder}/standin"):
            with self.subTest(name):
                self.assertRefused(self.early(name), f"{name}: there is no such folder")

    def test_out_below_a_file(self) -> None:
        (self.folder / "file").write_text("")
        self.out = self.folder / "file" / "deep" / "bundle"
        done = self.early(str(self.checkpoint))
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{self.folder / 'file'} is a file; expected a folder", done.stderr)

    def test_weights_that_are_cut_short_anywhere(self) -> None:
        whole = (self.checkpoint / "model.safetensors").read_bytes()
        changed = self.copy()
        for length in (0, 3, 8, 200, len(whole) // 2, len(whole) - 1):
            with self.subTest(length):
                (changed / "model.safetensors").write_bytes(whole[:length])
                self.assertRefused(self.early(str(changed)), "model.safetensors", "fetch it again")
        (changed / "model.safetensors").write_bytes(whole + b"x")
        self.assertRefused(self.early(str(changed)), "model.safetensors", "fetch it again")

    def test_a_pointer_instead_of_a_file(self) -> None:
        for name in ("model.safetensors", "config.json", "tokenizer.json"):
            with self.subTest(name):
                changed = self.copy()
                (changed / name).write_text(
                    "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
                )
                self.assertRefused(
                    self.early(str(changed)), f"{name} is a pointer of Git LFS", "git lfs pull"
                )

    def test_an_index_that_names_a_missing_shard(self) -> None:
        changed = self.copy()
        (changed / INDEX).write_text(
            json.dumps({"weight_map": {"text_proj.bias": "model-00002-of-00002.safetensors"}})
        )
        self.assertRefused(self.early(str(changed)), "lacks model-00002-of-00002.safetensors", "not complete")

    def test_an_index_of_other_weights(self) -> None:
        changed = self.copy()
        (changed / INDEX).write_text(json.dumps({"weight_map": {"someone.weight": "model.safetensors"}}))
        self.assertRefused(self.early(str(changed)), "has no someone.weight")

    def test_files_that_are_missing(self) -> None:
        for name, word in (
            ("config.json", "no config.json"),
            ("processor_config.json", "no processor_config.json"),
            ("model.safetensors", "no *.safetensors"),
        ):
            with self.subTest(name):
                changed = self.copy()
                (changed / name).unlink()
                self.assertRefused(self.early(str(changed)), word)

    def test_pickled_weights(self) -> None:
        changed = self.copy()
        (changed / "model.safetensors").rename(changed / "pytorch_model.bin")
        self.assertRefused(self.early(str(changed)), "no *.safetensors")

    def test_broken_json(self) -> None:
        for text in ("{", "[]", "\xff"):
            changed = self.copy()
            (changed / "config.json").write_bytes(text.encode("latin-1"))
            self.assertRefused(self.early(str(changed)), "config.json")

    def test_code_of_another_repository(self) -> None:
        changed = self.copy(config__json=('"modeling_standin.', '"someone/else--modeling_other.'))
        self.assertRefused(
            self.early(str(changed)),
            "someone/else--modeling_other",
            "another repository",
            "expected modeling_other.py in this folder",
        )

    def test_a_class_in_a_folder_above(self) -> None:
        changed = self.copy(config__json=('"modeling_standin.', '"someone/else--../modeling_standin.'))
        self.assertRefused(self.early(str(changed)), "another repository")


class Late(ExportTest):
    def test_classes_named_as_the_bases_are_taken_from_the_folder(self) -> None:
        changed = self.copy(
            config__json=('"modeling_standin.', '"nvidia/Cosmos-Embed1-448p--modeling_standin.'),
            processor_config__json=(
                '"processing_standin.',
                '"nvidia/Cosmos-Embed1-448p--processing_standin.',
            ),
        )
        edit(
            changed / "config.json",
            '"configuration_standin.',
            '"nvidia/Cosmos-Embed1-448p--configuration_standin.',
        )
        self.assertConverted(convert(changed, self.out))

    def test_packages_that_are_missing_are_named(self) -> None:
        for name, word in (
            ("decord", "COSMOS_EMBED_PYTHON"),
            ("some_package", "COSMOS_EMBED_PYTHON"),
            ("transformer_engine", '"use_fp8" to false'),
        ):
            with self.subTest(name):
                changed = self.copy(modeling_standin__py=("import math\n", f"import math\nimport {name}\n"))
                self.assertRefused(convert(changed, self.out), name, word)

    def test_code_that_fails_is_reported_with_its_location(self) -> None:
        changed = self.copy(
            modeling_standin__py=(
                "        batch, frames = videos.shape[:2]",
                "        raise KeyError('no such thing')",
            )
        )
        self.assertRefused(
            convert(changed, self.out),
            "the checkpoint's code failed at modeling_standin.py:",
            "KeyError: 'no such thing'",
        )

    def test_a_full_disk(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("a small file system can only be mounted by root")
        small = self.folder / "small"
        small.mkdir()
        if (
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)], capture_output=True
            ).returncode
            != 0
        ):
            self.skipTest("this machine mounts no tmpfs")
        self.addCleanup(subprocess.run, ["umount", str(small)], capture_output=True)
        self.out = small / "bundle"
        self.assertRefused(convert(self.checkpoint, self.out), "has 0.2 MB free", "for converting are needed")
        # It may have filled since that was looked at.
        with mock.patch.object(converter, "require_disk", return_value=""):
            self.assertRefused(convert(self.checkpoint, self.out), "the disk is full")
        self.assertEqual(list(small.iterdir()), [])

    def test_disk_space_is_checked_before_the_conversion(self) -> None:
        sys.path.insert(0, str(EXPORT))
        from files import Refused
        from space import require_disk

        with self.assertRaisesRegex(Refused, r"free; 1.0 GB for one and 900000000.0 GB for two are needed"):
            require_disk([(self.folder / "a" / "b", 1e9, "one"), (self.folder, 9e17, "two")])

    def test_a_killed_conversion_is_reported_and_leaves_nothing(self) -> None:
        process, partial = self.start_main()
        os.kill(int(partial.name.rsplit("-", 1)[1]), signal.SIGKILL)
        _, told = process.communicate()
        self.assertEqual(process.returncode, 1)
        self.assertIn("ended by signal 9, probably because memory ran out", told)
        self.assertNothingWritten()

    def test_what_a_killed_run_left_is_removed(self) -> None:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        stale, ours = (self.folder / f".bundle.partial-{pid}" for pid in (gone.pid, os.getpid()))
        for folder in (stale, ours):
            (folder / "deep").mkdir(parents=True)
        done = self.run_main(str(self.checkpoint))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(f"removing {stale}", done.stderr)
        self.assertEqual([stale.exists(), ours.exists()], [False, True])
        shutil.rmtree(ours)


class Interpreter(unittest.TestCase):
    def test_a_python_without_wheels_names_the_option(self) -> None:
        for version in ((3, 10, 14), (3, 14, 0)):
            program = (
                f"import sys, runpy; sys.version_info = type('V', (tuple,), {{}})({version!r}); sys.argv = ['environment.py', 'requirements.txt']; "
                "runpy.run_path('environment.py', run_name='__main__')"
            )
            environment = {key: value for key, value in os.environ.items() if key != "COSMOS_EMBED_PYTHON"}
            done = subprocess.run(
                [sys.executable, "-c", program],
                cwd=EXPORT,
                capture_output=True,
                text=True,
                env={**environment, "XDG_CACHE_HOME": str(Path(os.devnull) / "none")},
            )
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"Python {version[0]}.{version[1]} ", done.stderr)
            self.assertIn("--python", done.stderr)


if __name__ == "__main__":
    unittest.main()
