"""Deterministic clips: the same bytes from a seed here and in src/verify/golden.ts, so a bundle stores seeds, not pixels.

Each channel is a wrapped ramp that moves from frame to frame, with a little noise: edges, colour and motion at any size.
"""

from __future__ import annotations

import numpy as np

RULE = "ramps-1"


def mix(values: np.ndarray) -> np.ndarray:
    """A 32-bit integer hash, elementwise; wraps as C does."""
    values = values.astype(np.uint32)
    with np.errstate(over="ignore"):
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            values = (values ^ (values >> np.uint32(shift))) * np.uint32(factor)
    return values ^ (values >> np.uint32(16))


def golden_clip(seed: int, frames: int, resolution: int) -> np.ndarray:
    """uint8 [frames, 3, resolution, resolution]."""
    constants = (
        (mix(np.arange(12) + 12 * seed) & 255).astype(np.int64).reshape(3, 4)
    )  # per channel: level, x, y, time
    level, along_x, along_y, in_time = (constants[None, :, k, None, None] for k in range(4))
    x, y = np.arange(resolution)[None, None, None, :], np.arange(resolution)[None, None, :, None]
    time = np.arange(frames)[:, None, None, None]
    ramp = level + (along_x * x + along_y * y) // resolution + in_time * time
    noise = mix(np.arange(frames * 3 * resolution * resolution) + 0x9E37 * seed) & 15
    return ((ramp + noise.reshape(frames, 3, resolution, resolution)) & 255).astype(np.uint8)
