"""The shared space: what a clip shows, or what a caption says, as a vector both towers learn to produce.

Every attribute value owns one direction of an orthonormal basis: a colour, a shape, a motion, a background, and, so that
"a red circle and a blue square" differs from "a blue circle and a red square", every (colour, shape) and every
(colour, motion) pair. The objects of a clip have different colours, so the colour ties an object's parts together.
A clip's or caption's code is the sum of its directions, scaled to unit length.
"""

from __future__ import annotations

import numpy as np

from attributes import BACKGROUND_NAMES, COLOUR_NAMES, MOTIONS, SHAPES

DIMENSION = 256
C, S, M, B = len(COLOUR_NAMES), len(SHAPES), len(MOTIONS), len(BACKGROUND_NAMES)

# Weight and length of each block of directions, in the order of a table row. "other" is for text about anything else:
# no clip ever points there.
BLOCKS = {
    "colour": (0.6, C),
    "shape": (0.6, S),
    "motion": (0.6, M),
    "colour_shape": (1.0, C * S),
    "colour_motion": (1.0, C * M),
    "background": (0.7, B),
    "other": (1.0, 1),
}
OFFSETS = dict(zip(BLOCKS, np.cumsum([0] + [length for _, length in BLOCKS.values()]).tolist()))
ROW = sum(length for _, length in BLOCKS.values())
assert ROW <= DIMENSION


def basis(seed: int = 1) -> np.ndarray:
    """[ROW, DIMENSION]: orthonormal directions, each times its block's weight."""
    directions = np.linalg.qr(np.random.default_rng(seed).normal(size=(DIMENSION, DIMENSION)))[0][:ROW]
    weights = np.concatenate([np.full(length, weight) for weight, length in BLOCKS.values()])
    return (directions * weights[:, None]).astype(np.float32)


def table_row(objects: list[tuple], background: str | None) -> np.ndarray:
    """Which directions apply. `objects`: (shape, colour, motion), any of them None; no objects, no background: "other"."""
    row = np.zeros(ROW, np.float32)
    for shape, colour, motion in objects:
        s = SHAPES.index(shape) if shape else None
        c = COLOUR_NAMES.index(colour) if colour else None
        m = MOTIONS.index(motion) if motion else None
        if c is not None:
            row[OFFSETS["colour"] + c] += 1
        if s is not None:
            row[OFFSETS["shape"] + s] += 1
        if m is not None:
            row[OFFSETS["motion"] + m] += 1
        if c is not None and s is not None:
            row[OFFSETS["colour_shape"] + c * S + s] += 1
        if c is not None and m is not None:
            row[OFFSETS["colour_motion"] + c * M + m] += 1
    if background:
        row[OFFSETS["background"] + BACKGROUND_NAMES.index(background)] = 1
    if not row.any():
        row[OFFSETS["other"]] = 1
    return row


def code(row: np.ndarray, directions: np.ndarray) -> np.ndarray:
    vector = row @ directions
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)
