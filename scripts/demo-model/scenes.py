"""Scenes: one or two coloured shapes that move over a background, drawn analytically with numpy alone.

A scene is a function of time u in [0, 1] and can be drawn at any size, so the trainer draws the eight 56x56 frames
the tower sees while the renderer draws every frame of a full-size video: the same code makes both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attributes import BACKGROUNDS, COLOURS

TAU = 2 * np.pi
REACH = 1.1  # no shape reaches further than this many half-sizes from its centre


# --- shapes: signed distance in half-sizes, negative inside, y downwards ------------------------------------------


def _box(x, y, w, h):
    return np.maximum(np.abs(x) - w, np.abs(y) - h)


def _triangle(x, y):
    sides = [x * np.cos(a) + y * np.sin(a) for a in (TAU / 4, TAU / 4 + TAU / 3, TAU / 4 + 2 * TAU / 3)]
    return np.maximum(np.maximum(sides[0], sides[1]), sides[2]) - 0.54


def _star(x, y):
    radius, tips = np.hypot(x, y), 5
    angle = np.abs(
        (np.arctan2(x, -y) + TAU / 2 / tips) % (TAU / tips) - TAU / 2 / tips
    )  # folded onto half a tip
    outer, inner = 1.08, 0.44
    ix, iy = inner * np.cos(TAU / 2 / tips), inner * np.sin(TAU / 2 / tips)
    ex, ey = ix - outer, iy
    return ((radius * np.cos(angle) - outer) * -ey + radius * np.sin(angle) * ex) / -np.hypot(ex, ey)


def _heart(x, y):
    px, py = np.abs(x) / 1.75, 0.55 - y / 1.75
    lobe = np.hypot(px - 0.25, py - 0.75) - np.sqrt(2) / 4
    foot = 0.5 * np.maximum(px + py, 0)
    point = np.sqrt(np.minimum(px**2 + (py - 1) ** 2, (px - foot) ** 2 + (py - foot) ** 2)) * np.sign(px - py)
    return 1.75 * np.where(px + py > 1, lobe, point)


SHAPE_DISTANCE = {
    "circle": lambda x, y: np.hypot(x, y) - 0.9,
    "square": lambda x, y: _box(x, y, 0.78, 0.78),
    "triangle": _triangle,
    "star": _star,
    "ring": lambda x, y: np.abs(np.hypot(x, y) - 0.74) - 0.21,
    "cross": lambda x, y: np.minimum(_box(x, y, 0.98, 0.3), _box(x, y, 0.3, 0.98)),
    "heart": _heart,
    "crescent": lambda x, y: np.maximum(np.hypot(x, y) - 0.98, 0.8 - np.hypot(x - 0.48, y)),
}


# --- motion -------------------------------------------------------------------------------------------------------


@dataclass
class Track:
    """Where a thing is: offset from its base position in short sides of the picture, size factor, turn in radians."""

    kind: str
    amount: float  # travel, growth, orbit radius or turn, by kind
    phase: float
    drift: float  # a little motion across the main direction, so that no path is exactly straight
    ease: float  # 0: even speed; towards 1: starts and ends slowly

    def at(self, u: float) -> tuple[float, float, float, float]:
        u = (1 - self.ease) * u + self.ease * u * u * (3 - 2 * u)
        v = u - 0.5
        if self.kind in ("left", "right"):
            return (v if self.kind == "right" else -v) * self.amount, v * self.drift, 1.0, 0.0
        if self.kind in ("up", "down"):
            return v * self.drift, (v if self.kind == "down" else -v) * self.amount, 1.0, 0.0
        if self.kind in ("growing", "shrinking"):
            return v * self.drift, -v * self.drift, self.amount ** (v if self.kind == "growing" else -v), 0.0
        if self.kind in ("clockwise", "anticlockwise"):
            angle = self.phase + TAU * u * (0.8 + abs(self.drift)) * (1 if self.kind == "clockwise" else -1)
            return np.cos(angle) * self.amount, np.sin(angle) * self.amount, 1.0, 0.0
        if self.kind == "spinning":
            return 0.0, 0.0, 1.0, self.amount * u
        if self.kind == "swinging":
            return np.sin(self.phase + TAU * 1.5 * u) * self.amount, v * self.drift, 1.0, 0.0
        return 0.0, 0.0, 1.0, 0.0


def random_track(rng: np.random.Generator, motion: str, crowded: bool) -> Track:
    amount = 0.0
    if motion in ("left", "right", "up", "down"):
        amount = rng.uniform(0.32, 0.5 if crowded else 0.65)
    elif motion in ("growing", "shrinking"):
        amount = rng.uniform(1.8, 2.6)
    elif motion in ("clockwise", "anticlockwise"):
        amount = rng.uniform(0.13, 0.18) if crowded else rng.uniform(0.16, 0.26)
    elif motion == "spinning":
        amount = np.radians(rng.uniform(120, 320)) * (1 if rng.random() < 0.5 else -1)
    elif motion == "swinging":
        amount = rng.uniform(0.1, 0.18)
    return Track(motion, float(amount), rng.uniform(0, TAU), rng.uniform(-0.08, 0.08), rng.uniform(0, 0.5))


# --- scenes -------------------------------------------------------------------------------------------------------


@dataclass
class Item:
    shape: str
    colour: str
    rgb: np.ndarray  # float, the colour as it is drawn
    x: float  # base position and half-size in pixels of the full-size picture
    y: float
    size: float
    tilt: float
    track: Track

    def at(self, u: float, short_side: float) -> tuple[float, float, float, float]:
        """Centre x, y, half-size, turn at time u."""
        dx, dy, scale, turn = self.track.at(u)
        return self.x + dx * short_side, self.y + dy * short_side, self.size * scale, self.tilt + turn


@dataclass
class Scene:
    width: int
    height: int
    background: str
    items: list[Item]
    gradient: np.ndarray  # 2x3: change of brightness per colour from left to right and from top to bottom
    base_rgb: np.ndarray
    noise: float
    texture_seed: int

    def backdrop(self, width: int, height: int) -> np.ndarray:
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
        return (self.base_rgb + x * self.gradient[0] + y * self.gradient[1]).astype(np.float32)

    def frame(
        self, u: float, backdrop: np.ndarray, softness: float = 1.0, masks: list | None = None
    ) -> np.ndarray:
        """The float picture at time u, the size of `backdrop`; `masks` receives each item's coverage of the pixels."""
        height, width = backdrop.shape[:2]
        sx, sy = self.width / width, self.height / height
        edge = softness * np.sqrt(sx * sy)  # width of the smooth edge: about one pixel
        picture = backdrop.copy()
        for item in self.items:
            cx, cy, size, turn = item.at(u, min(self.width, self.height))
            reach = REACH * size + edge
            x0, x1 = max(0, int((cx - reach) / sx)), min(width, int((cx + reach) / sx) + 2)
            y0, y1 = max(0, int((cy - reach) / sy)), min(height, int((cy + reach) / sy) + 2)
            if masks is not None:
                masks.append(np.zeros((height, width), np.float32))
            if x0 >= x1 or y0 >= y1:
                continue
            x = (np.arange(x0, x1, dtype=np.float32)[None, :] * sx + (sx / 2 - cx)) / size
            y = (np.arange(y0, y1, dtype=np.float32)[:, None] * sy + (sy / 2 - cy)) / size
            c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
            distance = SHAPE_DISTANCE[item.shape](x * c + y * s, y * c - x * s)
            cover = np.clip(0.5 - distance * np.float32(size / edge), 0, 1).astype(np.float32)
            if masks is not None:
                masks[-1][y0:y1, x0:x1] = cover
            region = picture[y0:y1, x0:x1]
            region += cover[:, :, None] * (item.rgb - region)
        return picture


def random_scene(rng: np.random.Generator, objects: list[tuple[str, str, str]], background: str) -> Scene:
    """A scene with these (shape, colour, motion) objects; everything that the caption does not say is drawn at random."""
    aspect = float(np.exp(rng.uniform(np.log(9 / 16), np.log(16 / 9))))
    area = rng.uniform(170, 300) ** 2
    width, height = (2 * max(60, round(np.sqrt(area * ratio) / 2)) for ratio in (aspect, 1 / aspect))
    gain = rng.uniform(0.88, 1.08)
    base = np.array(BACKGROUNDS[background], np.float32) * rng.uniform(0.85, 1.1) + rng.normal(0, 3, 3)
    scene = Scene(
        width,
        height,
        background,
        [],
        rng.normal(0, 7, 2)[:, None] * np.ones(3) + rng.normal(0, 2, (2, 3)),
        (base * gain).astype(np.float32),
        rng.uniform(0, 5),
        int(rng.integers(2**31)),
    )
    crowded = len(objects) > 1
    for _ in range(200):
        scene.items = [_random_item(rng, scene, *obj, gain, crowded) for obj in objects]
        if not crowded or _apart(scene):
            return scene
    scene.items[0].x, scene.items[1].x = 0.25 * width, 0.75 * width  # last resort: far apart
    return scene


def _random_item(rng, scene: Scene, shape: str, colour: str, motion: str, gain: float, crowded: bool) -> Item:
    short = min(scene.width, scene.height)
    size = np.sqrt(scene.width * scene.height) * (
        rng.uniform(0.11, 0.16) if crowded else rng.uniform(0.12, 0.23)
    )
    track = random_track(rng, motion, crowded)
    # Keep the whole path inside the picture where it fits; otherwise centre it.
    path = np.array([track.at(u)[:3] for u in np.linspace(0, 1, 9)])
    reach = 0.9 * size * path[:, 2]
    position = []
    for axis, extent in ((0, scene.width), (1, scene.height)):
        low, high = (reach - path[:, axis] * short).max(), extent - (reach + path[:, axis] * short).max()
        position.append(rng.uniform(low, high) if low < high else (low + high) / 2)
    rgb = np.clip(np.array(COLOURS[colour], np.float32) * gain + rng.normal(0, 7, 3), 0, 255).astype(
        np.float32
    )
    return Item(shape, colour, rgb, position[0], position[1], size, np.radians(rng.uniform(-14, 14)), track)


def _apart(scene: Scene) -> bool:
    """True if the two items never touch on their way."""
    short = min(scene.width, scene.height)
    for u in np.linspace(0, 1, 9):
        (ax, ay, asize, _), (bx, by, bsize, _) = (item.at(u, short) for item in scene.items)
        if np.hypot(ax - bx, ay - by) < 1.02 * (asize + bsize):
            return False
    return True


def clip_frames(scene: Scene, count: int):
    """The `count` 8-bit RGB frames of the full-size video, one after the other."""
    rng = np.random.default_rng(scene.texture_seed)
    backdrop = scene.backdrop(scene.width, scene.height)
    tile = rng.normal(0, scene.noise, (scene.height + 32, scene.width + 32)).astype(np.float32)
    for index in range(count):
        picture = scene.frame(index / max(1, count - 1), backdrop)
        ox, oy = rng.integers(0, 32, 2)  # a shifted view of one noise tile is far cheaper than new noise
        picture += tile[oy : oy + scene.height, ox : ox + scene.width, None]
        yield np.clip(picture + 0.5, 0, 255).astype(np.uint8)
