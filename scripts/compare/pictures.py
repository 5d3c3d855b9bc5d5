"""Converts decoded pictures to RGB with numpy alone, and to small pictures that tell frames apart.

It does not use libswscale, so that the comparison also finds a mistake that FFmpeg and the library share.
"""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange

HD_LINES = 720  # an untagged picture of so many lines is BT.709, a smaller one BT.601
# AVColorSpace → the weights of red and blue in luma.
WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
THUMB = 32
# Formats with interleaved 4:2:2 samples → the first byte and the step of luma, Cb and Cr.
PACKED = {"uyvy422": ((1, 2), (0, 4), (2, 4)), "yuyv422": ((0, 2), (1, 4), (3, 4))}


def to_rgb(frame: VideoFrame) -> np.ndarray:
    """uint8 [H, W, 3], turned as the file asks. The stream's matrix and range; chroma lies amid the pixels that it covers."""
    planes = planes_of(frame)
    if planes is None:
        rgb = frame.to_ndarray(format="rgb24")
    else:
        bits = frame.format.components[0].bits
        # Grey is a format of still pictures too, which leave their full range untagged.
        is_full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        is_full = is_full or (frame.format.name.startswith("gray") and frame.color_range != ColorRange.MPEG)
        luma, blue, red = (
            unit(plane, bits, is_full, is_chroma) for plane, is_chroma in zip(planes, (False, True, True))
        )
        blue, red = (interpolated(plane, luma.shape) for plane in (blue, red))
        in_red, in_blue = WEIGHTS.get(int(frame.colorspace), WEIGHTS[1 if frame.height >= HD_LINES else 5])
        red, blue = luma + 2 * (1 - in_red) * red, luma + 2 * (1 - in_blue) * blue
        green = (luma - in_red * red - in_blue * blue) / (1 - in_red - in_blue)
        rgb = np.clip(np.rint(np.stack([red, green, blue], axis=-1) * 255), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns(frame)))


def quarter_turns(frame: VideoFrame) -> int:
    return round(frame.rotation / 90) % 4


def planes_of(frame: VideoFrame) -> list[np.ndarray] | None:
    """The decoded planes Y, Cb and Cr; grey gets flat chroma. None for a format that is not planar YUV."""
    name = frame.format.name
    if name in ("nv12", "nv21"):
        both = np.frombuffer(frame.planes[1], np.uint8).reshape(-1, frame.planes[1].line_size)
        both = both[: -(-frame.height // 2), : 2 * (-(-frame.width // 2))]
        blue = 0 if name == "nv12" else 1
        return [plane_of(frame, 0), both[:, blue::2], both[:, 1 - blue :: 2]]
    if name in PACKED:
        row = plane_of_bytes(frame)
        return [
            row[:, offset::step][:, :width]
            for (offset, step), width in zip(
                PACKED[name], (frame.width, -(-frame.width // 2), -(-frame.width // 2))
            )
        ]
    if name.startswith("gray"):
        luma = plane_of(frame, 0)
        middle = 1 << (frame.format.components[0].bits - 1)
        return [luma, *(np.full((1, 1), middle, luma.dtype) for _ in range(2))]
    if not name.startswith(("yuv4", "yuvj4", "yuva4")) or name.endswith("be"):
        return None
    return [plane_of(frame, index) for index in range(3)]


def plane_of_bytes(frame: VideoFrame) -> np.ndarray:
    return np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)[: frame.height]


def plane_of(frame: VideoFrame, index: int) -> np.ndarray:
    plane, component = frame.planes[index], frame.format.components[index]
    sample = np.uint16 if component.bits > 8 else np.uint8
    rows = np.frombuffer(plane, sample).reshape(-1, plane.line_size // np.dtype(sample).itemsize)
    return rows[: component.height, : component.width]


def unit(plane: np.ndarray, bits: int, is_full: bool, is_chroma: bool) -> np.ndarray:
    """Luma 0 to 1, chroma -0.5 to 0.5."""
    values = plane.astype(np.float32)
    if is_full:
        return (values - (1 << (bits - 1)) if is_chroma else values) / ((1 << bits) - 1)
    one = 1 << (bits - 8)
    return (values - 128 * one) / (224 * one) if is_chroma else (values - 16 * one) / (219 * one)


def interpolated(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Linear between the middles of the samples; each covers the same whole number of pixels, the last maybe fewer."""
    for axis in (0, 1):
        length, count = shape[axis], plane.shape[axis]
        covers = 1
        while count * covers < length:
            covers *= 2
        place = np.clip((np.arange(length) + 0.5) / covers - 0.5, 0, count - 1)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, count - 1)
        part = (place - below).astype(np.float32)
        part = part[:, None] if axis == 0 else part[None, :]
        plane = plane.take(below, axis) * (1 - part) + plane.take(above, axis) * part
    return plane


def thumb_of_frame(frame: VideoFrame) -> np.ndarray:
    planes = planes_of(frame)
    luma = planes[0] if planes is not None else frame.to_ndarray(format="gray")
    return thumb(np.rot90(luma, quarter_turns(frame)))


def thumb_of_rgb(image: np.ndarray) -> np.ndarray:
    return thumb(image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32))


def thumb(luma: np.ndarray) -> np.ndarray:
    """Block means, normalised for brightness and contrast: pictures are alike when their dot product is near 1."""
    rows, columns = (
        np.unique(np.linspace(0, size, THUMB, endpoint=False).astype(int)) for size in luma.shape
    )
    blocks = np.add.reduceat(np.add.reduceat(luma.astype(np.float64), rows, axis=0), columns, axis=1)
    area = np.outer(np.diff([*rows, luma.shape[0]]), np.diff([*columns, luma.shape[1]]))
    small = np.zeros((THUMB, THUMB), np.float32)
    small[: len(rows), : len(columns)] = blocks / area
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def barcode(frame: VideoFrame, bars: int) -> int:
    """Reads the number in the upper quarter of a generated picture, least significant bit first."""
    luma = plane_of(frame, 0).astype(np.float32)
    middle = 128 << (frame.format.components[0].bits - 8)
    height, width = luma.shape[0] // 4, luma.shape[1] / bars
    number = 0
    for bit in range(bars):
        left, right = int((bit + 0.25) * width), int((bit + 0.75) * width)
        if luma[height // 4 : height * 3 // 4, left:right].mean() > middle:
            number |= 1 << bit
    return number
