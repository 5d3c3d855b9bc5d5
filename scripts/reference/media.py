"""Chooses the frames of a clip and converts them with PyAV and Pillow, in the plainest way.

Every frame is decoded, twice: once to count, once to pick. Slow, and hard to get wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from PIL import Image

FLAG_NAMES = ("bilinear", "accurate_rnd", "full_chroma_int", "full_chroma_inp")
FLAGS = (
    Interpolation.BILINEAR
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
HD_LINES = 720  # an untagged picture of so many lines is BT.709, a smaller one BT.601
# AVColorSpace as a stream is tagged → what swscale calls it.
MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


@dataclass
class Clip:
    count: int  # displayable frames
    indices: list[int]  # T of them
    images: list[np.ndarray]  # as `indices`: uint8 [H, W, 3], the displayed picture at its own size
    pixels: np.ndarray  # uint8 [T, 3, R, R]


def read_clip(path: Path, frames: int, resolution: int) -> Clip:
    times = [time for time, _ in displayed(path)]
    if not times:
        raise ValueError("no frame could be decoded")
    shown = sorted(range(len(times)), key=lambda place: (times[place] is not None, times[place] or 0, place))
    indices = [index * (len(times) - 1) // max(1, frames - 1) for index in range(frames)]
    wanted = {shown[index] for index in indices}
    pictures = {place: to_rgb(frame) for place, (_, frame) in enumerate(displayed(path)) if place in wanted}
    images = [pictures[shown[index]] for index in indices]
    resized = [
        np.asarray(Image.fromarray(image).resize((resolution, resolution), Image.Resampling.BILINEAR))
        for image in images
    ]
    return Clip(len(times), indices, images, np.stack(resized).transpose(0, 3, 1, 2))


def displayed(path: Path) -> Iterator[tuple[int | None, VideoFrame]]:
    """The frames that a player would show, in the decoder's output order, each with its time."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        stream.thread_type = "AUTO"
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
                for frame in packet.decode():
                    yield frame.pts, frame
            except StopIteration:
                return
            except av.error.InvalidDataError:
                continue  # a damaged packet; the rest may be whole


def to_rgb(frame: VideoFrame) -> np.ndarray:
    """uint8 [H, W, 3]; the stream's matrix and range, interpolated chroma, turned as the file asks.

    Chroma first gets the size of luma, in 16 bits and centred on its pixels whatever the stream says of its place:
    in one step some versions of FFmpeg do not interpolate it between lines, and only newer ones look at its place.
    """
    matrix = MATRICES.get(
        int(frame.colorspace), Colorspace.ITU709 if frame.height >= HD_LINES else Colorspace.ITU601
    )
    is_full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    has_chroma = not frame.format.is_rgb and not frame.format.name.startswith("gray")
    picture = VideoReformatter().reformat(
        whole_chroma(whole_samples(frame)) if has_chroma else frame,
        format="rgb24",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        interpolation=FLAGS,
        src_color_range=ColorRange.JPEG if is_full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    shown = picture.to_ndarray()[: frame.height, : frame.width]
    return np.ascontiguousarray(np.rot90(shown, round(frame.rotation / 90) % 4))


def whole_samples(frame: VideoFrame) -> VideoFrame:
    """The frame, larger by the pixels that its last samples of chroma cover, which FFmpeg would stretch instead.

    Without the J in the format's name: FFmpeg fills up the luma of such 4:4:4, and makes it one too bright.
    """
    name = frame.format.name.replace("yuvj", "yuv")
    across, down = 16 // frame.format.chroma_width(16), 16 // frame.format.chroma_height(16)
    width, height = (-(-frame.width // across) * across, -(-frame.height // down) * down)
    if (width, height, name) == (frame.width, frame.height, frame.format.name):
        return frame
    whole = VideoFrame(width, height, name)
    bytes_per_sample = 2 if frame.format.components[0].bits > 8 else 1
    for source, target in zip(frame.planes, whole.planes):
        pixels = np.frombuffer(source, np.uint8).reshape(-1, source.line_size)[: source.height]
        samples = pixels[:, : source.width * bytes_per_sample].reshape(source.height, -1, bytes_per_sample)
        lines = np.zeros((target.height, target.line_size), np.uint8)
        grown = np.pad(
            samples,
            ((0, target.height - samples.shape[0]), (0, target.width - samples.shape[1]), (0, 0)),
            mode="edge",
        )
        lines[:, : target.width * bytes_per_sample] = grown.reshape(target.height, -1)
        target.update(lines.tobytes())
    return whole


def whole_chroma(frame: VideoFrame) -> VideoFrame:
    """The frame as yuv444p16le, of the same matrix and the same levels, whatever its range."""
    graph = Graph()
    steps = [
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        ),
        graph.add(
            "scale",
            f"flags={'+'.join(FLAG_NAMES)}:in_range=tv:out_range=tv:in_color_matrix=bt709"
            ":out_color_matrix=bt709:in_chroma_loc=center",
        ),
        graph.add("format", "yuv444p16le"),
        graph.add("buffersink"),
    ]
    for step, following in zip(steps, steps[1:]):
        step.link_to(following)
    graph.configure()
    steps[0].push(frame)
    return steps[-1].pull()
