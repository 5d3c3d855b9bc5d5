"""Writes native/test/goldens/resize.inc: generated pictures, resized by Pillow.

    python3 -m venv .venv && .venv/bin/pip install pillow==12.1.0 numpy==2.4.6
    .venv/bin/python scripts/goldens/make_resize.py

Not a newer Pillow: 12.2 began to run the vertical pass first for pictures thousands of times taller than wide, and
13 does so wherever x grows and y shrinks, which rounds differently (compared: 10.4, 11.3, 12.0, 12.1, 12.2, 12.3, 13.0).
CV-CUDA's pillowresize, which the model's own server uses, runs the horizontal pass first, as Pillow always had.
"""

from pathlib import Path

import numpy as np
import PIL
from PIL import Image

OUT = Path(__file__).resolve().parents[2] / "native/test/goldens/resize.inc"

HASHED = [  # source width, height -> width, height
    (1920, 1080, 224, 224), (1280, 720, 224, 224), (640, 360, 336, 336), (3840, 2160, 448, 448),
    (1080, 1920, 224, 224), (720, 576, 448, 448), (854, 480, 224, 224), (1921, 1079, 224, 224),
    (333, 251, 224, 224), (223, 225, 224, 224), (64, 48, 224, 224), (17, 13, 224, 224), (7, 301, 224, 224),
    (1, 1, 224, 224), (1, 1, 1, 1), (2, 1, 1, 1), (1, 2, 1, 1), (3, 3, 1, 1), (500, 400, 1, 1), (2, 2, 3, 3),
    (4000, 3, 224, 224), (3, 4000, 224, 224), (1, 500, 50, 1), (500, 1, 1, 50), (20000, 2, 5, 5), (2, 20000, 5, 5),
    (224, 224, 224, 224), (224, 640, 224, 224), (640, 224, 224, 224), (101, 77, 101, 33), (101, 77, 33, 77),
    (31, 29, 62, 58), (448, 448, 224, 224), (225, 223, 97, 193),
]  # fmt: skip
LITERAL = [(4, 1, 2, 1), (1, 4, 1, 2), (2, 2, 3, 3), (5, 3, 2, 2), (1, 1, 2, 2)]


def generate(width, height):
    """Noise from a hash of the byte's index, with a gradient and saturated stretches."""
    index = np.arange(3 * width * height, dtype=np.uint64)
    value = (index * 2654435761 + width * 31 + height) & 0xFFFFFFFF
    value ^= value >> 15
    value = (value * 2246822519) & 0xFFFFFFFF
    noise = value >> 24
    stretch = index // 257 % 4
    value = np.where(stretch == 1, 255, np.where(stretch == 2, index // 3 % 256, noise))
    return value.astype(np.uint8).reshape(height, width, 3)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def resize(source, width, height):
    return np.asarray(Image.fromarray(source).resize((width, height), Image.Resampling.BILINEAR))


def row(values):
    return "{" + ", ".join(str(v) for v in values) + "}"


lines = [
    f"// Written by scripts/goldens/make_resize.py with Pillow {PIL.__version__}.",
    "// clang-format off",
]
lines += ["constexpr HashedGolden kHashed[] = {"]
for size in HASHED:
    hash_ = fnv1a(resize(generate(*size[:2]), *size[2:]).tobytes())
    lines.append(f"    {{{', '.join(map(str, size))}, 0x{hash_:016x}}},")
lines += ["};", "const LiteralGolden kLiteral[] = {"]
for size in LITERAL:
    pixels = resize(generate(*size[:2]), *size[2:]).flatten()
    lines.append(f"    {{{', '.join(map(str, size))}, {row(pixels)}}},")
lines += ["};", "// clang-format on"]
OUT.write_text("\n".join(lines) + "\n")
