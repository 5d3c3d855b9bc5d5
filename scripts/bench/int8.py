"""Rewrites the float32 graphs of a bundle to 8-bit products with the exporter's code, without its proof, for benchmarks.

python3 scripts/export/environment.py scripts/export/requirements.txt scripts/bench/int8.py BUNDLE OUT
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "export"))

import int8
import weights
from files import sha256
from shapes import move_constants


def main(bundle: Path, out: Path) -> None:
    manifest = json.loads((bundle / "model.json").read_text())
    out.mkdir(parents=True)
    files = {}
    for name in ("video", "text"):
        path = bundle / manifest["files"][name]["path"]
        model = onnx.load(path, load_external_data=False)
        move_constants(model)
        written = weights.save(model, bundle, out / path.name, int8.quantise(model, bundle))
        files |= {f"{name}{'Data' * index}": file for index, file in enumerate(written)}
    files["tokenizer"] = Path(shutil.copy(bundle / manifest["files"]["tokenizer"]["path"], out))
    manifest["id"] += "-int8"
    manifest["files"] = {
        name: {"path": file.name, "sha256": sha256(file), "bytes": file.stat().st_size}
        for name, file in files.items()
    }
    manifest["license"].pop("path", None)
    (out / "model.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
