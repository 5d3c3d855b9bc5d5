"""Training data, drawn on demand: clips with everything that the renderer knows about them, and captions with codes."""

from __future__ import annotations

import numpy as np

import captions
import scenes
from attributes import BACKGROUND_NAMES, COLOUR_NAMES, MOTIONS, SHAPES, is_held_out
from codes import table_row
from render import draw_objects
from towers import FRAMES, GRID, SMALL

TURN_SYMMETRY = {
    "circle": 0,
    "ring": 0,
    "square": 4,
    "cross": 4,
    "triangle": 3,
    "star": 5,
    "heart": 1,
    "crescent": 1,
}
OBJECTS = 2
LITTLE_WORDS = ("a", "an", "the", "one", "of", "that", "which", "is", "shape", "thing")


def draw_trained(rng: np.random.Generator, count: int) -> tuple[list[tuple[str, str, str]], str]:
    while True:
        objects, background = draw_objects(rng, count)
        if not any(is_held_out(*obj) for obj in objects):
            return objects, background


def _soften(pictures: np.ndarray) -> np.ndarray:
    """A 3-tap blur along both axes of [T, H, W, 3]."""
    for axis in (1, 2):
        padded = np.concatenate([pictures.take([0], axis), pictures, pictures.take([-1], axis)], axis)
        size = pictures.shape[axis]
        middle = [slice(None)] * 4
        parts = []
        for start in range(3):
            middle[axis] = slice(start, start + size)
            parts.append(padded[tuple(middle)])
        pictures = 0.25 * parts[0] + 0.5 * parts[1] + 0.25 * parts[2]
    return pictures


def _as_filmed(rng: np.random.Generator, pictures: np.ndarray, noise: float) -> np.ndarray:
    """What an encoder and a resize do to a picture: softer, above all in colour, noisier, slightly off."""
    if rng.random() < 0.4:
        pictures = _soften(pictures)
    elif rng.random() < 0.5:
        luma = pictures @ np.array([[0.299], [0.587], [0.114]], np.float32)
        pictures = luma + _soften(pictures - luma)
    pictures = pictures * (1 + rng.normal(0, 0.025, 3)).astype(np.float32)
    grain = rng.standard_normal(pictures.shape, np.float32)
    grain *= np.float32(0.3 + 0.5 * noise)
    pictures += grain
    pictures += np.float32(0.5 + rng.normal(0, 2))
    return np.clip(pictures, 0, 255, out=pictures).astype(np.uint8)


def clip_batch(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """`count` clips of eight frames at 56x56, and everything the tower should see in them."""
    batch = {
        "pictures": np.zeros((count, FRAMES, SMALL, SMALL, 3), np.uint8),
        "segments": np.zeros((count, FRAMES, 1 + len(COLOUR_NAMES), GRID, GRID), np.float32),
        "presence": np.zeros((count, len(COLOUR_NAMES)), np.float32),
        "background": np.zeros(count, np.int64),
        "colour": np.full((count, OBJECTS), -1, np.int64),  # -1: no such object
        "shape": np.zeros((count, OBJECTS), np.int64),
        "motion": np.zeros((count, OBJECTS), np.int64),
        "position": np.zeros((count, FRAMES, OBJECTS, 2), np.float32),
        "size_and_turn": np.zeros((count, FRAMES, OBJECTS, 3), np.float32),
    }
    cell = SMALL // GRID
    for n in range(count):
        objects, background = draw_trained(rng, 2 if rng.random() < 0.5 else 1)
        scene = scenes.random_scene(rng, objects, background)
        backdrop = scene.backdrop(SMALL, SMALL)
        softness = rng.uniform(0.7, 1.8)
        last = int(
            rng.integers(14, 90)
        )  # the eight frames are rounded down to frame numbers: not quite even in time
        moments = [i * last // (FRAMES - 1) / last for i in range(FRAMES)]
        pictures = np.empty((FRAMES, SMALL, SMALL, 3), np.float32)
        for t, u in enumerate(moments):
            masks: list[np.ndarray] = []
            pictures[t] = scene.frame(u, backdrop, softness, masks)
            for k, (item, mask) in enumerate(zip(scene.items, masks)):
                share = mask.reshape(GRID, cell, GRID, cell).mean((1, 3))
                batch["segments"][n, t, 1 + COLOUR_NAMES.index(item.colour)] = share
                x, y, size, turn = item.at(u, min(scene.width, scene.height))
                batch["position"][n, t, k] = 2 * x / scene.width - 1, 2 * y / scene.height - 1
                symmetry = TURN_SYMMETRY[item.shape]
                batch["size_and_turn"][n, t, k] = (
                    np.log(size / np.sqrt(scene.width * scene.height)) + 1.8,
                    np.cos(symmetry * turn),
                    np.sin(symmetry * turn),
                )
        batch["pictures"][n] = _as_filmed(rng, pictures, scene.noise)
        batch["background"][n] = BACKGROUND_NAMES.index(background)
        for k, (shape, colour, motion) in enumerate(objects):
            batch["colour"][n, k] = COLOUR_NAMES.index(colour)
            batch["shape"][n, k] = SHAPES.index(shape)
            batch["motion"][n, k] = MOTIONS.index(motion)
            batch["presence"][n, batch["colour"][n, k]] = 1
    batch["segments"][:, :, 0] = np.clip(1 - batch["segments"].sum(2), 0, 1)
    return batch


def _caption(rng: np.random.Generator) -> tuple[str, list[tuple], str | None]:
    """A text with the objects and the background that it names. Four in five texts say everything; the others are shorter, as
    typed queries are."""
    objects, background = draw_trained(rng, 2 if rng.random() < 0.45 else 1)
    named = background if rng.random() < 0.5 else None
    kind = rng.random()

    said = np.ones(3, bool)
    if kind < 0.2:  # part of the shape, colour and motion only
        said = rng.random(3) < 0.6
        objects = [tuple(part if keep else None for part, keep in zip(obj, said)) for obj in objects]
        if not said.any():
            objects = objects[:1]
    text = captions.sentence(rng, objects, named)

    if (
        kind < 0.05 and len(objects) == 1 and named is None and said.any()
    ):  # the bare words, as in a search box
        text = " ".join(word for word in text.split() if word not in LITTLE_WORDS)
    if kind > 0.95:  # the background only, or, below, something else
        objects = []
        text = captions.pick(rng, ("a {} background", "{} background")).format(named) if named else ""
    words = text.split()
    if (kind > 0.97 and not named) or kind > 0.985:
        objects, named = [], None
        words = [captions.stranger(rng) for _ in range(rng.integers(1, 7))]
    elif 0.9 < kind < 0.95:  # a sentence whose words were shuffled says nothing
        shuffled = list(rng.permutation(words))
        if captions.is_salad(words, shuffled):
            words, objects, named = shuffled, [], None
    elif rng.random() < 0.1:  # one unknown word changes nothing
        words.insert(int(rng.integers(len(words) + 1)), captions.stranger(rng))
    elif (
        len(objects) == 1 and len(words) > 3 and rng.random() < 0.06
    ):  # nor does one slip of the order, with one object
        slip = int(rng.integers(len(words) - 1))
        words[slip], words[slip + 1] = words[slip + 1], words[slip]
    return " ".join(words) + ("." if rng.random() < 0.2 else ""), objects, named


def caption_batch(rng: np.random.Generator, count: int) -> tuple[list[str], np.ndarray]:
    """Captions and the table rows of their codes."""
    drawn = [_caption(rng) for _ in range(count)]
    return [text for text, _, _ in drawn], np.stack(
        [table_row(objects, named) for _, objects, named in drawn]
    )
