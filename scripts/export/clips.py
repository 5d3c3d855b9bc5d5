"""The clips on which the graphs are proven: generated from seeds, extreme ones, and the user's videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from files import Refused
from golden_clips import golden_clip

ENDINGS = {
    ".mp4",
    ".mov",
    ".m4v",
    ".mkv",
    ".webm",
    ".avi",
    ".ts",
    ".mpg",
    ".mpeg",
    ".ogv",
    ".gif",
    ".jpg",
    ".jpeg",
    ".png",
}
MOST_VIDEOS = 16


@dataclass
class Clip:
    name: str
    pixels: np.ndarray  # uint8 [T, 3, R, R]
    seed: int | None = None  # of those that a bundle can make again


def seeded(count: int, frames: int, resolution: int) -> list[Clip]:
    return [Clip(f"seed {seed}", golden_clip(seed, frames, resolution), seed) for seed in range(count)]


def hard(frames: int, resolution: int) -> list[Clip]:
    """Extreme clips: independent pixels, and whole pictures that jump from black to white."""
    noise = np.random.default_rng(7).integers(0, 256, (frames, 3, resolution, resolution), np.uint8)
    flashes = np.zeros((frames, 3, resolution, resolution), np.uint8)
    flashes[::2] = 255
    return [Clip("noise", noise), Clip("flashes", flashes)]


def find_videos(paths: list[Path]) -> list[Path]:
    """The named files, and the videos directly in named folders; at most MOST_VIDEOS, evenly spread."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise Refused(f"--videos {path}: there is no such file or folder")
        found += (
            sorted(each for each in path.iterdir() if each.suffix.lower() in ENDINGS)
            if path.is_dir()
            else [path]
        )
    if paths and not found:
        raise Refused(f"--videos {', '.join(map(str, paths))}: no video in it")
    if len(found) <= MOST_VIDEOS:
        return found
    return [found[index * (len(found) - 1) // (MOST_VIDEOS - 1)] for index in range(MOST_VIDEOS)]


def decoded(path: Path, frames: int, resolution: int) -> Clip:
    """The frames that this library takes, of the pictures that FFmpeg's own colour conversion gives."""
    import av

    try:
        with av.open(str(path)) as container:
            count = sum(1 for _ in container.decode(video=0))
        if count == 0:
            raise Refused(f"--videos {path}: no picture in it")
        wanted = [index * (count - 1) // max(frames - 1, 1) for index in range(frames)]
        pictures: dict[int, np.ndarray] = {}
        with av.open(str(path)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index in wanted:
                    picture = Image.fromarray(frame.to_ndarray(format="rgb24")).resize(
                        (resolution, resolution), Image.Resampling.BILINEAR
                    )
                    pictures[index] = np.asarray(picture).transpose(2, 0, 1)
    except (av.FFmpegError, IndexError, OSError) as error:
        raise Refused(f"--videos {path} cannot be decoded: {error}") from error
    return Clip(path.name, np.stack([pictures[index] for index in wanted]))
