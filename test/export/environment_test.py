"""The virtual environment is created on first use; these requirements need no network."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "export" / "environment.py"


class Environment(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.requirements = self.folder / "tool" / "requirements.txt"
        self.requirements.parent.mkdir()
        self.requirements.write_text("# nothing\n")

    def run_python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, str(SCRIPT), str(self.requirements), *arguments],
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **environment},
        )

    def made(self) -> list[str]:
        cache = self.folder / ".cache" / "cosmos-embed"
        return [path.name for path in cache.iterdir()] if cache.exists() else []

    def test_is_created_once_with_a_message(self) -> None:
        prefix = "import sys; print(sys.prefix)"
        first, second = self.run_python("-c", prefix), self.run_python("-c", prefix)
        self.assertEqual([first.returncode, second.returncode], [0, 0], first.stderr)
        self.assertIn("first use", first.stderr)
        self.assertEqual(second.stderr, "")
        self.assertEqual(len(self.made()), 1)
        self.assertTrue(first.stdout.strip().endswith(self.made()[0]), first.stdout)

    def test_other_requirements_get_another_one(self) -> None:
        self.run_python("-c", "")
        self.requirements.write_text("# still nothing\n")
        self.run_python("-c", "")
        self.assertEqual(len(self.made()), 2)

    def test_a_failed_installation_leaves_nothing(self) -> None:
        self.requirements.write_text("./not-there\n")
        done = self.run_python("-c", "")
        self.assertEqual(done.returncode, 1)
        self.assertIn("ended with code", done.stderr)
        self.assertEqual(self.made(), [])

    def test_what_a_killed_run_left_is_removed(self) -> None:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        self.run_python("-c", "")
        (name,) = self.made()
        cache = self.folder / ".cache" / "cosmos-embed"
        (cache / name).rename(cache / f"{name}.partial-{gone.pid}")
        done = self.run_python("-c", "")
        self.assertEqual(self.made(), [name], done.stderr)
        self.assertIn("which a run left that was killed", done.stderr)

    def test_an_explicit_interpreter_is_used_as_it_is(self) -> None:
        done = self.run_python("-c", "import sys; print(sys.executable)", COSMOS_EMBED_PYTHON=sys.executable)
        self.assertEqual([done.stdout.strip(), self.made()], [sys.executable, []])


if __name__ == "__main__":
    unittest.main()
