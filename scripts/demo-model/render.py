#!/usr/bin/env python3
"""Renders captioned clips of moving shapes to mp4 and webm files: the demo model's evaluation set and examples.

    python3 render.py --seed 7 --count 256 --two-object-share 0.25 --format mixed --out DIR

Needs numpy and the `ffmpeg` command, nothing else. Writes DIR/captions.jsonl, one line per clip; each caption is
true of exactly one clip of the set. The same arguments give the same captions and pixels (between numpy 1.24 and 2.4
one value in a million differs, by one level).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
from pathlib import Path

import numpy as np

import captions
import scenes
from attributes import BACKGROUND_NAMES, COLOUR_NAMES, MOTIONS, OPPOSITES, SHAPES, is_drawable, is_held_out

FRAME_RATES = (10, 12, 15, 24, 25, 30)
SECONDS = (1.5, 4.0)
MAX_FRAMES = 72  # keeps a set of 256 clips quick to make


def draw_objects(rng: np.random.Generator, count: int) -> tuple[list[tuple[str, str, str]], str]:
    """`count` objects of different colours, and a background all of them can be seen on."""
    while True:
        background = captions.pick(rng, BACKGROUND_NAMES)
        colours = rng.permutation(len(COLOUR_NAMES))[:count]
        objects = [
            (captions.pick(rng, SHAPES), COLOUR_NAMES[c], captions.pick(rng, MOTIONS)) for c in colours
        ]
        if all(is_drawable(*obj, background) for obj in objects):
            return objects, background


def twin(objects: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The clip most easily taken for this one: the motion turned round, or two objects with their colours exchanged."""
    if len(objects) == 2:
        (shape, colour, motion), (other_shape, other_colour, other_motion) = objects
        return [(shape, other_colour, motion), (other_shape, colour, other_motion)]
    shape, colour, motion = objects[0]
    return [(shape, colour, OPPOSITES[motion])]


def plan(seed: int, count: int, two_object_share: float) -> list[dict]:
    """What each clip shows and its caption.

    Clips come with their twins on the same background, so that a caption finds its clip only if the frames are in order, the
    channels are right and the words are understood in their order. One-object clips differ in (object, background); no
    object of a two-object clip occurs in another clip. So a caption is unique as long as it names the background wherever
    another clip has the same object.
    """
    rng = np.random.default_rng(seed)
    pairs = round(count * two_object_share)
    chosen: list[tuple[list, str]] = []
    in_pairs, singles = set(), set()
    for _ in range(1000 * count):
        if len(chosen) == count:
            break
        room = (pairs if len(chosen) < pairs else count) - len(chosen)
        objects, background = draw_objects(rng, 2 if len(chosen) < pairs else 1)
        both = [objects, twin(objects)]
        shown = [obj for version in both for obj in version]
        if (
            len(set(shown)) < len(shown)
            or not in_pairs.isdisjoint(shown)
            or not all(is_drawable(*obj, background) for obj in shown)
        ):
            continue
        if len(objects) == 2:
            in_pairs.update(shown)
        elif not singles.isdisjoint((obj, background) for obj in shown):
            continue
        else:
            singles.update((obj, background) for obj in shown[:room])
        chosen += [(version, background) for version in both[:room]]
    if len(chosen) < count:
        raise SystemExit(
            f"there are not enough combinations for {count} distinct clips with this share of two objects"
        )

    clips = []
    for index in rng.permutation(count):
        objects, background = chosen[index]
        shared = sum(obj == objects[0] for obj, _ in singles) > 1
        named = background if shared or rng.random() < 0.5 else None
        clips.append(
            {
                "caption": captions.sentence(rng, objects, named),
                "attributes": {
                    "objects": [dict(zip(("shape", "colour", "motion"), obj)) for obj in objects],
                    "background": background,
                    "backgroundNamed": named is not None,
                },
                "heldOut": any(is_held_out(*obj) for obj in objects),
            }
        )
    return clips


def encoder_arguments(container: str, bt709: bool, noise_floor: int) -> list[str]:
    """ffmpeg's output options. Untagged files are bt601, as ffmpeg and most players assume for small pictures."""
    matrix = "bt709" if bt709 else "bt601"
    arguments = ["-vf", f"scale=out_color_matrix={matrix}:out_range=tv", "-pix_fmt", "yuv420p"]
    if bt709:
        arguments += [
            "-colorspace",
            "bt709",
            "-color_primaries",
            "bt709",
            "-color_trc",
            "bt709",
            "-color_range",
            "tv",
        ]
    if container == "webm":
        return arguments + [
            "-c:v",
            "libvpx-vp9",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            "-row-mt",
            "0",
            "-b:v",
            "0",
            "-crf",
            str(34 + noise_floor),
            "-threads",
            "1",
        ]
    return arguments + [
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-crf",
        str(22 + noise_floor),
        "-threads",
        "1",
        "-movflags",
        "+faststart",
    ]


def render(job: dict) -> dict:
    """Draws and encodes one clip; returns its line of captions.jsonl."""
    clip, path = job["clip"], Path(job["path"])
    rng = np.random.default_rng([job["seed"], job["index"]])
    objects = [tuple(obj.values()) for obj in clip["attributes"]["objects"]]
    scene = scenes.random_scene(rng, objects, clip["attributes"]["background"])
    fps = int(captions.pick(rng, FRAME_RATES))
    frames = min(MAX_FRAMES, round(fps * rng.uniform(*SECONDS)))
    bt709, noise_floor = bool(rng.random() < 0.5), int(rng.integers(0, 8))
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-y",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{scene.width}x{scene.height}",
        "-r",
        str(fps),
        "-i",
        "pipe:0",
        *encoder_arguments(path.suffix[1:], bt709, noise_floor),
        str(path),
    ]
    encoder = subprocess.Popen(command, stdin=subprocess.PIPE)
    for frame in scenes.clip_frames(scene, frames):
        encoder.stdin.write(frame.tobytes())
    encoder.stdin.close()
    if encoder.wait() != 0:
        raise RuntimeError(f"ffmpeg could not write {path}")
    return {
        "file": path.name,
        **clip,
        "width": scene.width,
        "height": scene.height,
        "fps": fps,
        "frames": frames,
        "colour": "bt709" if bt709 else "untagged",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--two-object-share", type=float, default=0.0)
    parser.add_argument("--format", choices=("mp4", "webm", "mixed"), default="mixed")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    jobs = []
    for index, clip in enumerate(plan(args.seed, args.count, args.two_object_share)):
        container = ("mp4", "webm")[index % 2] if args.format == "mixed" else args.format
        jobs.append(
            {
                "clip": clip,
                "seed": args.seed,
                "index": index,
                "path": str(args.out / f"clip-{index:04d}.{container}"),
            }
        )
    with multiprocessing.Pool(args.jobs) as pool:
        lines = pool.map(render, jobs, chunksize=4)
    (args.out / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    print(f"{len(lines)} clips in {args.out}")


if __name__ == "__main__":
    main()
