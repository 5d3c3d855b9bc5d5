"""Shared by the exporter's tests: stand-in checkpoints, their variants, and ways to run the exporter on them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXPORT = HERE.parents[1] / "scripts" / "export"
GPU = EXPORT.parent / "gpu"
sys.path[:0] = [str(EXPORT), str(EXPORT / "standin"), str(HERE)]
sys.path.append(str(GPU))

import torch  # noqa: E402

torch.set_num_threads(1)  # conversions are forked from this process, and a fork loses the threads that it had

import convert as converter  # noqa: E402
from files import fingerprint, list_files  # noqa: E402
from make import make  # noqa: E402


def convert(folder: Path, out: Path, precision: str = "fp32", *more: str) -> subprocess.CompletedProcess:
    """Runs convert.py in a fork of this process, because importing PyTorch takes longer than the conversion."""
    arguments = [
        str(folder),
        "--out",
        str(out),
        "--name",
        folder.name,
        "--revision",
        "local folder",
        "--id",
        "standin-canonical",
        "--run-code",
        code_of(folder),
        "--precision",
        precision,
        "--form",
        "canonical",
        "--clips",
        "2",
        *more,
    ]
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile("w+") as told:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.dup2(told.fileno(), 2)
                fresh_caches(home)
                code = converter.main(arguments)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        told.seek(0)
        return subprocess.CompletedProcess(arguments, os.waitstatus_to_exitcode(status), "", told.read())


def code_of(folder: Path) -> str:
    return fingerprint(list_files(folder))


def fresh_caches(home: str) -> None:
    """Sets what main.py sets by environment variables, which the libraries read only on import."""
    import huggingface_hub.constants
    import transformers.dynamic_module_utils
    import transformers.utils.hub

    huggingface_hub.constants.HF_HUB_CACHE = transformers.utils.hub.TRANSFORMERS_CACHE = home
    transformers.utils.hub.HF_MODULES_CACHE = transformers.dynamic_module_utils.HF_MODULES_CACHE = home


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
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.checkpoint, copy)
        for name, (old, new) in replacements.items():
            edit(copy / name.replace("__", "."), old, new)
        return copy

    def assertRefused(self, done: subprocess.CompletedProcess, *words: str) -> None:
        self.assertEqual(done.returncode, 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertNothingWritten()

    def assertConverted(self, done: subprocess.CompletedProcess) -> None:
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.out / "model.json").is_file())

    def assertNothingWritten(self) -> None:
        self.assertFalse(self.out.exists())
        self.assertEqual(self.partial(), [])

    def start_main(self) -> tuple[subprocess.Popen, Path]:
        """Starts main.py in a process group of its own. Returns once it writes, with the folder of the unfinished bundle."""
        process = subprocess.Popen(
            [sys.executable, str(EXPORT / "main.py"), str(self.checkpoint), "--out", str(self.out)]
            + ["--yes-run-code", code_of(self.checkpoint)],
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COSMOS_EMBED_PYTHON": sys.executable},
        )
        while not (partial := self.partial()):
            time.sleep(0.05)
            self.assertIsNone(process.poll())
        return process, partial[0]

    def partial(self) -> list[Path]:
        """The folders of unfinished bundles."""
        return [path for path in self.folder.iterdir() if "partial" in path.name]

    def run_main(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, str(EXPORT / "main.py"), "--out", str(self.out), *arguments],
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "COSMOS_EMBED_PYTHON": sys.executable,
                "HF_HOME": str(self.folder / "hf"),
                **environment,
            },
        )


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    if old not in text:
        raise AssertionError(f"{path.name} has no {old!r}")
    path.write_text(text.replace(old, new))


def asked_for(stderr: str) -> str:
    """The fingerprint in the output."""
    return re.search(r"--yes-run-code ([0-9a-f]{16})", stderr).group(1)
