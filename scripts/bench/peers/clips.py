"""Clips as one makes them by hand in Python: the frames of a video that the model takes, and the video tower."""

from __future__ import annotations

import bisect
import functools
import json
import os
from pathlib import Path
from typing import BinaryIO

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when ONNX Runtime is imported

import av
import numpy as np
import onnxruntime
from PIL import Image

Source = str | BinaryIO


def chosen(count: int, frames: int) -> list[int]:
    """The frame rule of the model card: `frames` of `count` frames, from the first to the last one."""
    return [index * (count - 1) // (frames - 1) for index in range(frames)]


def square(frame: av.VideoFrame, side: int) -> np.ndarray:
    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def read_all(source: Source, frames: int, side: int) -> tuple[list[int], np.ndarray]:
    """Decodes every frame up to the last one that is wanted."""
    with av.open(source) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        count = stream.frames
        if count == 0:
            count = sum(1 for packet in container.demux(stream) if packet.size)
            container.seek(0)
        indices = chosen(count, frames)
        wanted, squares = set(indices), {}
        for index, frame in enumerate(container.decode(stream)):
            if index in wanted:
                squares[index] = square(frame, side)
            if index == indices[-1]:
                break
    return indices, np.stack([squares[index] for index in indices])


def read_seeking(source: Source, frames: int, side: int) -> tuple[list[int], np.ndarray]:
    """Reads the times of all packets first and then skips to the keyframe before each wanted frame."""
    with av.open(source) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        packets = [(packet.pts, packet.is_keyframe) for packet in container.demux(stream) if packet.size]
        times = sorted(pts for pts, _ in packets)
        keys = sorted(pts for pts, is_key in packets if is_key)
        indices = chosen(len(times), frames)
        container.seek(times[0], stream=stream)
        decoder, position, squares = container.decode(stream), times[0], {}
        for index in sorted(set(indices)):
            key = keys[bisect.bisect_right(keys, times[index]) - 1]
            if key > position:
                container.seek(key, stream=stream)
                decoder = container.decode(stream)
            for frame in decoder:
                position = frame.pts
                if position == times[index]:
                    squares[index] = square(frame, side)
                    break
    return indices, np.stack([squares[index] for index in indices])


def read_torchcodec(source: Source, frames: int, side: int) -> tuple[list[int], np.ndarray]:
    """torchcodec's exact seek, and the resize that torchvision calls."""
    import torch
    from torchcodec.decoders import VideoDecoder

    torch.set_num_threads(1)
    decoder = VideoDecoder(source, num_ffmpeg_threads=1)
    indices = chosen(decoder.metadata.num_frames, frames)
    pictures = decoder.get_frames_at(indices).data
    squares = torch.nn.functional.interpolate(pictures, size=(side, side), mode="bilinear", antialias=True)
    return indices, squares.numpy()


def load(reader: str) -> None:
    """Imports what `reader` needs. Before processes are forked, so that they share it."""
    if reader == "torchcodec":
        import torchcodec.decoders  # noqa: F401


READERS = {"all": read_all, "seek": read_seeking, "torchcodec": read_torchcodec}


@functools.cache
def opened(model: str) -> tuple[onnxruntime.InferenceSession, int, int]:
    """Of this process: the video tower, how many frames it takes, and their side."""
    manifest = json.loads((Path(model) / "model.json").read_text())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = Path(model) / manifest["files"]["video"]["path"]
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    return session, manifest["frames"], manifest["resolution"]


def embed(source: Source, model: str, reader: str) -> tuple[list[int], np.ndarray]:
    """The indices of the frames that were embedded, and the vector."""
    session, frames, side = opened(model)
    indices, pixels = READERS[reader](source, frames, side)
    return indices, session.run(None, {session.get_inputs()[0].name: pixels[None]})[0][0]
