"""Writes the small bundles that the tests of the Node side load: our form, VSS's and TAO's, and one for cards only.

python bundles.py [--out ../../../test/export/bundles]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from make import make

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from files import fingerprint, list_files  # noqa: E402  (beside this folder)

MADE = {
    "canonical": ("canonical", "fp32"),
    "vss": ("vss", "fp32"),
    "tao": ("tao", "fp32"),
    "bf16": ("canonical", "bf16"),
    "int8": ("canonical", "int8"),
}  # form, precision


def export(
    checkpoint: Path, out: Path, form: str = "canonical", precision: str = "fp32", *more: str
) -> subprocess.CompletedProcess:
    """Runs the exporter on a folder whose code is trusted because this script just wrote it."""
    command = [
        sys.executable,
        str(HERE.parent / "main.py"),
        "--checkpoint",
        str(checkpoint),
        "--out",
        str(out),
        "--form",
        form,
        "--precision",
        precision,
        "--id",
        f"standin-{form}",
        "--yes-run-code",
        fingerprint(list_files(checkpoint)),
        *more,
    ]
    return subprocess.run(
        command, env={**os.environ, "COSMOS_EMBED_PYTHON": sys.executable}, stderr=subprocess.PIPE, text=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=HERE.parents[2] / "test" / "export" / "bundles")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Path(scratch) / "standin-tiny"
        make("tiny", checkpoint)
        for name, (form, precision) in MADE.items():
            out = args.out / name
            shutil.rmtree(out, ignore_errors=True)
            done = export(checkpoint, out, form, precision)
            if done.returncode != 0:
                raise SystemExit(done.stderr)
            print(f"{out}: {sum(path.stat().st_size for path in out.iterdir()):,} bytes")


if __name__ == "__main__":
    main()
