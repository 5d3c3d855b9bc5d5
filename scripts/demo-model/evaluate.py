#!/usr/bin/env python3
"""Measures a bundle through encoded files: ffmpeg decodes them, Pillow resizes, ONNX Runtime embeds.

    python3 evaluate.py --bundle ../../models/demo --seed 7

R@1 is the share of captions whose own clip is the nearest of all clips in the set. Prints Markdown, for the model card.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from tokenizers import Tokenizer

import captions
from attributes import DIRECTIONAL_MOTIONS

HERE = Path(__file__).parent
FRAMES, RESOLUTION = 8, 224


def eight_frames(path: Path, width: int, height: int) -> np.ndarray:
    """uint8 [8, 3, 224, 224]: frames floor(i(N-1)/7), squashed by Pillow's antialiased bilinear filter."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-i",
        str(path),
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "pipe:1",
    ]
    raw = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    frames = np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)
    chosen = [frames[i * (len(frames) - 1) // (FRAMES - 1)] for i in range(FRAMES)]
    small = [
        Image.fromarray(frame).resize((RESOLUTION, RESOLUTION), Image.Resampling.BILINEAR) for frame in chosen
    ]
    return np.stack([np.asarray(frame) for frame in small]).transpose(0, 3, 1, 2)


class Model:
    def __init__(self, bundle: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.video_session, self.text_session = (
            onnxruntime.InferenceSession(str(bundle / name), options, providers=["CPUExecutionProvider"])
            for name in ("video.onnx", "text.onnx")
        )
        self.tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))

    def video(self, clips: np.ndarray) -> np.ndarray:
        parts = [
            self.video_session.run(None, {"videos": np.ascontiguousarray(clips[i : i + 16])})[0]
            for i in range(0, len(clips), 16)
        ]
        return np.concatenate(parts)

    def text(self, texts: list[str]) -> np.ndarray:
        """Embeds texts one at a time, which is slower than a padded batch but needs no padding."""
        ids = [np.array([self.tokenizer.encode(text).ids], np.int64) for text in texts]
        return np.concatenate(
            [self.text_session.run(None, {"input_ids": i, "attention_mask": np.ones_like(i)})[0] for i in ids]
        )


def recall(text: np.ndarray, video: np.ndarray, among: np.ndarray | None = None) -> str:
    """R@1 over all captions, or over those `among` names; the clips to choose from are always all of them."""
    right = (text @ video.T).argmax(1) == np.arange(len(text))
    if among is not None:
        right = right[among]
    return f"{right.mean():.3f} ({right.sum()}/{len(right)})" if len(right) else "none"


def render(out: Path, seed: int, count: int, share: float, container: str) -> list[dict]:
    subprocess.run(
        [
            sys.executable,
            HERE / "render.py",
            "--seed",
            str(seed),
            "--count",
            str(count),
            "--two-object-share",
            str(share),
            "--format",
            container,
            "--out",
            out,
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return [json.loads(line) for line in (out / "captions.jsonl").read_text().splitlines()]


def binding(model: Model, lines: list[dict], video: np.ndarray, part: str) -> str:
    """Of the two-object clips: how many prefer their caption to the same one with the objects' shapes or motions exchanged."""
    right = total = 0
    for index, line in enumerate(lines):
        objects = [dict(obj) for obj in line["attributes"]["objects"]]
        if len(objects) != 2 or objects[0][part] == objects[1][part]:
            continue
        exchanged = [dict(obj) for obj in objects]
        exchanged[0][part], exchanged[1][part] = objects[1][part], objects[0][part]
        own, other = (
            captions.sentence(np.random.default_rng(index), [tuple(obj.values()) for obj in version], None)
            for version in (objects, exchanged)
        )
        scores = model.text([own, other]) @ video[index]
        right, total = right + int(scores[0] > scores[1]), total + 1
    return f"{right}/{total}"


def evaluate_set(model: Model, work: Path, seed: int, count: int, share: float, container: str) -> None:
    lines = render(work, seed, count, share, container)
    clips = np.stack([eight_frames(work / line["file"], line["width"], line["height"]) for line in lines])
    texts = [line["caption"] for line in lines]
    video, text = model.video(clips), model.text(texts)
    rng = np.random.default_rng(seed)
    two = np.array([len(line["attributes"]["objects"]) == 2 for line in lines])
    held_out = np.array([line["heldOut"] for line in lines])
    directional = np.array(
        [all(obj["motion"] in DIRECTIONAL_MOTIONS for obj in line["attributes"]["objects"]) for line in lines]
    )

    title = "one object" if share == 0 else f"{share:.0%} with two objects"
    print(f"\n| {container}, {title}, {count} clips | R@1 |\n|---|---|")
    print(f"| **text to video** | **{recall(text, video)}** |")
    print(f"| video to text | {recall(video, text)} |")
    print(f"| captions of combinations never trained | {recall(text, video, held_out)} |")
    if two.any():
        print(f"| captions with two objects | {recall(text, video, two)} |")
        for part in ("shape", "motion"):
            print(
                f"| two objects: own caption above the one with their {part}s exchanged | {binding(model, lines, video, part)} |"
            )
    print(f"| red and blue swapped | {recall(text, model.video(clips[:, :, ::-1]))} |")
    print(f"| frames reversed | {recall(text, model.video(clips[:, ::-1]))} |")
    print(
        f"| frames reversed, captions of directed motion | {recall(text, model.video(clips[:, ::-1]), directional)} |"
    )
    shuffled = model.text([" ".join(rng.permutation(caption.split())) for caption in texts])
    print(f"| words of each caption shuffled | {recall(shuffled, video)} |")
    cosines = [float((version * video).sum(1).mean()) for version in (text, shuffled)]
    print(
        f"| mean cosine of caption and clip, words in order / shuffled | {cosines[0]:.2f} / {cosines[1]:.2f} |"
    )
    if two.any():
        print(f"| words shuffled, captions with two objects | {recall(shuffled, video, two)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bundle", type=Path, default=HERE / "../../models/demo")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--two-object-share", type=float, nargs="+", default=[0.0, 0.25])
    parser.add_argument("--format", nargs="+", default=["mp4", "webm"])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    model = Model(args.bundle, args.threads)
    for share in args.two_object_share:
        for container in args.format:
            with tempfile.TemporaryDirectory() as work:
                evaluate_set(model, Path(work), args.seed, args.count, share, container)


if __name__ == "__main__":
    main()
