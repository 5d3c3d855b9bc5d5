"""Embeds the videos of a manifest into a Parquet file, as one writes it by hand: PyAV, Pillow, ONNX Runtime, pyarrow.

    python index.py '{"manifest", "model", "out", "frames", "processes"}'

One process per core, because the interpreter's lock would make threads wait, and one thread of FFmpeg and of ONNX Runtime
in each. `frames` is `all`, which decodes every frame up to the last one that is wanted, or `seek`, which reads the times of
all packets first and then skips to the keyframe before each wanted frame. Neither has what `cosmos-embed index` has beyond
the vectors: a run that is killed starts over, and one video that cannot be read ends it.
"""

from __future__ import annotations

import bisect
import functools
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when ONNX Runtime is imported

import av
import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROWS_PER_GROUP = 1000


def chosen(count: int, frames: int) -> list[int]:
    """The frame rule of the model card: `frames` of `count` frames, from the first to the last one."""
    return [index * (count - 1) // (frames - 1) for index in range(frames)]


def square(frame: av.VideoFrame, side: int) -> np.ndarray:
    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def read_all(path: str, frames: int, side: int) -> tuple[list[int], np.ndarray]:
    with av.open(path) as container:
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


def read_seeking(path: str, frames: int, side: int) -> tuple[list[int], np.ndarray]:
    with av.open(path) as container:
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


READERS = {"all": read_all, "seek": read_seeking}


@functools.cache
def opened(model: str) -> tuple[onnxruntime.InferenceSession, int, int]:
    """Of this process: the video tower, how many frames it takes, and their side."""
    manifest = json.loads((Path(model) / "model.json").read_text())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = Path(model) / manifest["files"]["video"]["path"]
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    return session, manifest["frames"], manifest["resolution"]


def embed(row: dict, model: str, reader: str) -> dict:
    session, frames, side = opened(model)
    indices, pixels = READERS[reader](row["video"], frames, side)
    vector = session.run(None, {session.get_inputs()[0].name: pixels[None]})[0][0]
    return {"id": row["id"], "uri": row["video"], "frames": indices, "embedding": vector}


def main() -> None:
    job = json.loads(sys.argv[1])
    rows = [json.loads(line) for line in Path(job["manifest"]).read_text().splitlines()]
    width = json.loads((Path(job["model"]) / "model.json").read_text())["embeddingDim"]
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("uri", pa.string()),
            ("frames", pa.list_(pa.int64())),
            ("embedding", pa.list_(pa.float32(), width)),
        ]
    )
    work = functools.partial(embed, model=job["model"], reader=job["frames"])
    with ProcessPoolExecutor(job["processes"]) as pool, pq.ParquetWriter(job["out"], schema) as writer:
        waiting = []
        for row in pool.map(work, rows, chunksize=4):
            waiting.append(row)
            if len(waiting) == ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(waiting, schema))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_pylist(waiting, schema))


if __name__ == "__main__":
    main()
