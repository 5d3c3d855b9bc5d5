"""What the user sees while an export runs: its steps, how far each is, and what it needs before it starts."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest
from pathlib import Path
from unittest import mock

from exporting import (
    EXPORT,
    ExportTest,
    code_of,
    convert,
    converter,
)  # first: it says where the exporter's modules lie
from hub_test import REVISION
from fake_hub import FakeHub

import environment
import folder
import main
import space
import steps
from files import Refused


class Lines(unittest.TestCase):
    """Between two lines lie ten seconds; here next to nothing."""

    def setUp(self) -> None:
        self.enterContext(mock.patch.object(steps, "EVERY", 0.01))
        self.said: list[str] = []
        self.enterContext(mock.patch.object(steps, "say", self.said.append))

    def until_said(self, pattern: str) -> None:
        end = time.monotonic() + 60
        while not any(re.search(pattern, line) for line in self.said):
            self.assertLess(time.monotonic(), end, self.said)
            time.sleep(0.01)

    def test_work_in_pieces_says_which_piece_and_how_long_the_rest_takes(self) -> None:
        for index in steps.counted(range(3), 3, "clip"):
            self.until_said(
                rf"  clip {index + 1} of 3: \d+ s so far" + (r", about [\d.]+ (s|min) left" if index else "")
            )
        self.assertFalse([line for line in self.said if "clip 1 " in line and "left" in line])

    def test_bytes_say_how_many_how_fast_and_how_long(self) -> None:
        with steps.counter(4_000_000_000, "hashing") as seen:
            self.until_said(r"  hashing: 0.0 GB of 4.0 GB, 0.0 MB/s$")
            seen(1_000_000_000)
            self.until_said(r"  hashing: 1.0 GB of 4.0 GB, [\d.]+ MB/s, about [\d.]+ (s|min) left")
            seen(3_000_000_000)
            self.until_said(r"  hashing: 4.0 GB of 4.0 GB, [\d.]+ MB/s$")

    def test_items_count_as_they_were_before_they_were_taken(self) -> None:
        items = [[2_000_000_000], [2_000_000_000]]
        for item in steps.measured(items, lambda each: each[0], 4_000_000_000, "writing"):
            if item is items[1]:
                self.until_said("writing: 2.0 GB of 4.0 GB")
            item[0] = 0

    def test_other_work_says_how_long_it_has_run_and_usually_takes(self) -> None:
        with steps.waiting(steps.LOAD, 6e9):
            self.until_said(r"^  loading the checkpoint: \d+ s so far, usually about 36 s on 2 cores")

    def test_nothing_is_said_after_the_end(self) -> None:
        with steps.waiting(steps.LOAD, 1e9):
            self.until_said("so far")
        said = len(self.said)
        time.sleep(0.1)
        self.assertEqual(len(self.said), said)


class Packages(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.downloads, self.packages = self.folder / "downloads", self.folder / "packages"
        self.packages.mkdir()
        (self.downloads / "pip-unpack-1").mkdir(parents=True)
        self.expected = environment.Expected(download=2e9, unpacked=4e9)
        self.progress = environment.Progress(self.downloads, self.packages, self.expected)
        self.enterContext(contextlib.redirect_stderr(io.StringIO()))

    def test_a_download_and_then_the_unpacking(self) -> None:
        self.file(self.downloads / "pip-unpack-1" / "torch.whl", 500_000_000)
        self.file(self.downloads / "tmp1", 500_000_000)  # for pip's cache
        self.assertEqual(
            self.progress.line(10), "downloading packages: 0.5 GB of about 2.0 GB, 50.0 MB/s, about 30 s left"
        )
        self.progress.read(["Installing collected packages: torch\n"])
        self.progress.line(20)
        self.file(self.packages / "torch.so", 1_000_000_000)
        self.assertEqual(
            self.progress.line(30), "unpacking packages: 1.0 GB of about 4.0 GB, 100.0 MB/s, about 30 s left"
        )

    def test_no_end_is_promised_that_is_not_known(self) -> None:
        self.file(self.downloads / "pip-unpack-1" / "torch.whl", 2_500_000_000)
        self.assertEqual(self.progress.line(10), "downloading packages: 2.5 GB, 250.0 MB/s")
        self.file(self.downloads / "pip-unpack-1" / "torch.whl", 100_000_000)
        self.progress.read(["  Downloading torch-2.8.0%2Bcpu-cp311-cp311-linux_x86_64.whl (184.0 MB)\n"])
        self.assertEqual(self.progress.line(10), "downloading packages: 0.1 GB, 10.0 MB/s")

    def file(self, path: Path, size: int) -> None:
        with path.open("wb") as file:
            file.truncate(size)


class Disk(ExportTest):
    def full(self) -> None:
        self.enterContext(
            mock.patch.object(space.shutil, "disk_usage", lambda place: types.SimpleNamespace(free=8e9))
        )
        self.enterContext(mock.patch.dict(os.environ, XDG_CACHE_HOME=str(self.folder / "cache")))
        for name in ("COSMOS_EMBED_PYTHON", "PIP_NO_CACHE_DIR", "PIP_EXTRA_INDEX_URL"):
            os.environ.pop(name, None)

    def test_a_folder_is_refused_before_packages_are_installed(self) -> None:
        self.full()
        arguments = types.SimpleNamespace(
            out=self.out, pinned=main.LIST, checkpoint=str(self.checkpoint), revision=None
        )
        with self.assertRaisesRegex(
            Refused, r"8.0 GB free; .* GB for the Python packages and .* for converting"
        ):
            main.check_early(arguments, ["fp32"])

    def test_packages_are_refused(self) -> None:
        self.full()
        requirements = self.folder / "tool" / "requirements.txt"
        requirements.parent.mkdir()
        requirements.write_text("")
        with self.assertRaisesRegex(SystemExit, "8.0 GB free, installing the Python packages takes 9.0 GB"):
            environment.python_for(requirements, "", environment.Expected(3e9, 3e9))
        for name, left in (("PIP_NO_CACHE_DIR", 6e9), ("PIP_EXTRA_INDEX_URL", 0)):
            with mock.patch.dict(os.environ, {name: "1"}):
                self.assertEqual(environment.Expected(3e9, 3e9).required, left)

    def test_tracing_and_writing_are_refused_when_the_disk_has_filled_meanwhile(self) -> None:
        for step in ("the traced graphs", "the graphs"):
            with self.subTest(step), mock.patch.object(converter, "require_disk", refusing(step)):
                self.assertRefused(convert(self.checkpoint, self.out), f"no room for {step}")

    def test_both_halves_are_told_of_the_precisions(self) -> None:
        self.assertEqual(
            [folder.conversion_bytes(1, wanted) for wanted in (["fp16"], ["fp16", "mixed"], ["int8"])],
            [3, 4, 3],
        )


def refusing(step: str):
    def require(needs: list[tuple[Path, float, str]]) -> str:
        for _, _, what in needs:
            if what == step:
                raise Refused(f"no room for {what}")
        return ""

    return require


class Whole(ExportTest):
    def setUp(self) -> None:
        super().setUp()
        self.hub = self.enterContext(FakeHub(self.checkpoint, "someone/standin", REVISION))

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, str(EXPORT / "main.py"), "--out", str(self.out), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "COSMOS_EMBED_PYTHON": sys.executable,
                "HF_HOME": str(self.folder / "hf"),
                "HF_ENDPOINT": self.hub.url,
                **environ,
            },
        )
        self.enterContext(process)  # closes its pipes
        self.addCleanup(process.kill)
        return process

    def test_one_run_with_one_question_one_count_and_one_clock(self) -> None:
        # What the checkpoint's code prints is for people: stdout is for the program that reads the question.
        self.hub.folder = self.copy(configuration_standin__py=('"""Sizes', 'print("hello")\n"""Sizes'))
        process = self.start(
            "someone/standin", "--revision", REVISION, "--precision", "fp32", "--clips", "2", "--ask"
        )
        told: list[str] = []
        reader = threading.Thread(target=lambda: told.extend(process.stderr), daemon=True)
        reader.start()
        asked = json.loads(process.stdout.readline())
        self.assertEqual(asked, {"fingerprint": code_of(self.hub.folder), "files": 3})
        self.assertFalse(self.hub.asked_for(".safetensors"))
        process.stdin.write("yes\n")
        process.stdin.close()
        process.stdin = None
        self.assertEqual(process.wait(), 0)
        reader.join()
        text = "".join(told)
        self.assertEqual(process.stdout.read(), "")
        self.assertIn("hello\n", text)
        self.assertEqual(re.findall(r"step (\d) of 9", text), list("123456789"))
        self.assertEqual(text.count("SHA-256, bytes, name"), 1)
        clock = [float(time) for time in re.findall(r"^\[ *([\d.]+) s", text, re.MULTILINE)]
        self.assertEqual(clock, sorted(clock))
        self.assertTrue((self.out / "model.json").is_file())

    def test_any_other_answer_is_a_no(self) -> None:
        process = self.start("someone/standin", "--revision", REVISION, "--ask")
        _, told = process.communicate("")  # as when the terminal is closed
        self.assertEqual(process.returncode, 3)
        self.assertIn("nothing was written: not accepted", told)
        self.assertFalse(self.hub.asked_for(".safetensors"))
        self.assertNothingWritten()

    def test_an_interrupted_installation_leaves_nothing(self) -> None:
        cache = self.folder / "cache"
        process = self.start(
            str(self.checkpoint),
            COSMOS_EMBED_PYTHON="",
            XDG_CACHE_HOME=str(cache),
            PIP_INDEX_URL=self.hub.url,
        )
        for line in process.stderr:
            if line.startswith("Looking in indexes"):
                break
        self.assertEqual(len(list((cache / "cosmos-embed").iterdir())), 1)
        process.send_signal(signal.SIGTERM)
        process.communicate()
        self.assertEqual(process.returncode, 143)
        self.assertEqual(list((cache / "cosmos-embed").iterdir()), [])


if __name__ == "__main__":
    unittest.main()
