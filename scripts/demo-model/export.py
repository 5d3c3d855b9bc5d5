#!/usr/bin/env python3
"""Writes a checkpoint as a model bundle: video.onnx, text.onnx, tokenizer.json and model.json.

python3 export.py --checkpoint checkpoint.pt --out ../../models/demo
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

import wordpiece
from towers import FRAMES, TextTower, VideoTower

OPSET = 18
DESCRIPTION = (
    "A toy of a few megabytes with the interface of Cosmos-Embed1-224p, trained only on rendered clips of one or two "
    "coloured moving shapes; it is not Cosmos-Embed1 and understands no real video."
)


def export(
    tower: torch.nn.Module, path: Path, inputs: dict[str, torch.Tensor], axes: dict[str, dict], output: str
) -> None:
    torch.onnx.export(
        tower,
        tuple(inputs.values()),
        str(path),
        input_names=list(inputs),
        output_names=[output],
        dynamic_axes={**axes, output: {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)


def check(tower: torch.nn.Module, path: Path, inputs: dict[str, torch.Tensor]) -> float:
    """The largest difference between ONNX Runtime and torch, on another batch size than the exported one."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
    with torch.no_grad():
        wanted = tower(*inputs.values()).numpy()
    assert found.shape == wanted.shape and found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    return float(np.abs(found - wanted).max())


def entry(path: Path) -> dict:
    data = path.read_bytes()
    return {"path": path.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoint.pt"))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    state = torch.load(args.checkpoint)
    random = torch.Generator().manual_seed(0)

    def videos(count: int) -> dict[str, torch.Tensor]:
        return {
            "videos": torch.randint(0, 256, (count, FRAMES, 3, 224, 224), dtype=torch.uint8, generator=random)
        }

    def tokens(count: int, length: int) -> dict[str, torch.Tensor]:
        mask = torch.ones(count, length, dtype=torch.int64)
        mask[1:, length // 2 :] = 0
        return {
            "input_ids": torch.randint(5, 200, (count, length), generator=random) * mask,
            "attention_mask": mask,
        }

    tokenizer = wordpiece.build()
    tokenizer.save(str(args.out / "tokenizer.json"))

    video = VideoTower().eval()
    video.load_state_dict(state["video"])
    export(video, args.out / "video.onnx", videos(2), {"videos": {0: "batch"}}, "video_embeddings")

    text = TextTower(tokenizer.get_vocab_size()).eval()
    text.load_state_dict(state["text"])
    axes = {name: {0: "batch", 1: "tokens"} for name in ("input_ids", "attention_mask")}
    export(text, args.out / "text.onnx", tokens(2, 16), axes, "text_embeddings")

    worst = {
        "video.onnx": max(check(video, args.out / "video.onnx", videos(n)) for n in (1, 3)),
        "text.onnx": max(check(text, args.out / "text.onnx", tokens(*size)) for size in ((1, 7), (5, 128))),
    }
    short, padded = tokens(1, 9), tokens(1, 128)
    for name in short:
        padded[name][:, 9:] = 0
        padded[name][:, :9] = short[name]
    with torch.no_grad():
        difference = float((text(*short.values()) - text(*padded.values())).abs().max())
    assert difference < 1e-5, f"padding changes the text embedding by {difference}"

    manifest = {
        "formatVersion": 1,
        "id": "cosmos-embed-demo",
        "variant": "demo",
        "description": DESCRIPTION,
        "frames": FRAMES,
        "resolution": 224,
        "embeddingDim": 256,
        "maxTextTokens": wordpiece.LONGEST,
        "files": {
            name: entry(args.out / path)
            for name, path in (
                ("video", "video.onnx"),
                ("text", "text.onnx"),
                ("tokenizer", "tokenizer.json"),
            )
        },
        "license": {"name": "Apache-2.0"},
        "source": {
            "scripts": "scripts/demo-model",
            "video": state["video_training"],
            "text": state["text_training"],
        },
    }
    (args.out / "model.json").write_text(json.dumps(manifest, indent=2) + "\n")
    for name, difference in worst.items():
        print(
            f"{name}: {(args.out / name).stat().st_size / 1e6:.2f} MB, differs from torch by at most {difference:.1e}"
        )


if __name__ == "__main__":
    main()
