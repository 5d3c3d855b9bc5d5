"""Writes the bundle's small files: model.json, golden.json, licence. The loader is src/model/bundle.ts."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from files import sha256
from golden_clips import RULE
from proof import LOWEST_COSINE, Proof, Reference
from rounding import by_layer

LICENSE_OF = {
    "nvidia/Cosmos-Embed1": {
        "name": "NVIDIA Open Model License",
        "url": "https://www.nvidia.com/en-us/agreements/enterprise-software/nvidia-open-model-license/",
    },
}


def write_golden(path: Path, reference: Reference, precision: str) -> None:
    def packed(rows: np.ndarray) -> list[str]:
        return [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in rows]

    content = {
        "rule": RULE,
        "lowestCosine": LOWEST_COSINE[precision],
        "clips": [
            {"seed": clip.seed, "vector": vector}
            for clip, vector in zip(reference.clips, packed(reference.video))
            if clip.seed is not None
        ],
        "texts": [
            {"text": text, "ids": ids, "vector": vector}
            for text, ids, vector in zip(reference.texts, reference.ids, packed(reference.text))
        ],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def write_proof(path: Path, proofs: dict[str, Proof], warnings: list[str]) -> None:
    """The measurements of the export, for people who read or compare conversions."""
    path.write_text(
        json.dumps(
            {
                "warnings": warnings,
                "cosines": {name: proof.cosines for name, proof in proofs.items()},
                "largestMagnitudes": {name: by_layer(proof.largest) for name, proof in proofs.items()},
            },
            indent=1,
            ensure_ascii=False,
        )
        + "\n"
    )


def find_license(checkpoint_name: str, folder: Path, out: Path) -> dict[str, str]:
    """Copies the checkpoint's licence file, and names the licence as its model card does."""
    entry: dict[str, str] = {}
    for prefix, known in LICENSE_OF.items():
        if checkpoint_name.startswith(prefix):
            entry = dict(known)
    card = folder / "README.md"
    if not entry and card.exists():
        fields = dict(line.split(":", 1) for line in front_matter(card.read_text()) if ":" in line)
        fields = {key.strip(): value.strip().strip("\"'") for key, value in fields.items()}
        entry["name"] = fields.get("license_name") or fields.get("license") or ""
        if fields.get("license_link", "").startswith("https://"):
            entry["url"] = fields["license_link"]
    for file in sorted(folder.glob("LICENSE*")):
        shutil.copyfile(file, out / "LICENSE")
        entry["path"] = "LICENSE"
        break
    entry["name"] = entry.get("name") or "not stated by the checkpoint"
    return entry


def front_matter(text: str) -> list[str]:
    lines = text.splitlines()
    if not lines or lines[0] != "---" or "---" not in lines[1:]:
        return []
    return lines[1 : lines.index("---", 1)]


def write_manifest(out: Path, files: dict[str, Path], **fields: Any) -> None:
    entries = {
        name: {"path": path.name, "sha256": sha256(path), "bytes": path.stat().st_size}
        for name, path in files.items()
    }
    manifest = {"formatVersion": 1, **fields, "files": entries}
    (out / "model.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
