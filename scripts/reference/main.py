"""The whole path without the addon: files and texts in, frames, clips, tokens and vectors out.

    python main.py --model DIR --out DIR [--texts FILE] [VIDEO…]

Writes OUT/reference.json, and per video OUT/<n>.clip (uint8 [T, 3, R, R]) and OUT/<n>.images (its T pictures, RGB, one
after the other). `npm run parity` compares them with what the library does.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from media import read_clip
from model import Model


def video(model: Model, path: Path, out: Path, number: int) -> dict:
    try:
        clip = read_clip(path, model.frames, model.resolution)
    except Exception as error:  # any exception of PyAV is its answer about the file
        return {"file": str(path), "error": f"{type(error).__name__}: {error}"}
    (out / f"{number}.clip").write_bytes(clip.pixels.tobytes())
    (out / f"{number}.images").write_bytes(b"".join(image.tobytes() for image in clip.images))
    return {
        "file": str(path),
        "count": clip.count,
        "indices": clip.indices,
        "sizes": [[image.shape[1], image.shape[0]] for image in clip.images],
        "vector": model.encode_clip(clip.pixels).tolist(),
    }


def text(model: Model, sample: str) -> dict:
    ids, vector = model.encode_text(sample)
    return {"text": sample, "ids": ids, "vector": vector.tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--texts", type=Path, help="one text a line")
    parser.add_argument("videos", type=Path, nargs="*")
    args = parser.parse_args()
    model = Model(args.model)
    samples = [line for line in args.texts.read_text().splitlines() if line.strip()] if args.texts else []
    report: dict[str, list] = {"videos": [], "texts": [text(model, sample) for sample in samples]}
    for number, path in enumerate(args.videos):
        print(f"reference: {number + 1} of {len(args.videos)}, {path.name}", file=sys.stderr, flush=True)
        report["videos"].append(video(model, path, args.out, number))
    (args.out / "reference.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
