"""Embeds the videos of a manifest into a Parquet file, as one writes it by hand: PyAV, Pillow, ONNX Runtime, pyarrow.

    python index.py '{"manifest", "model", "out", "frames", "processes"}'

One process per core, because the interpreter's lock would make threads wait, and one thread of FFmpeg and of ONNX Runtime
in each. `frames` is `all`, which decodes every frame up to the last one that is wanted, or `seek`, which reads the times of
all packets first and then skips to the keyframe before each wanted frame. Neither has what `cosmos-embed index` has beyond
the vectors: a run that is killed starts over, and one video that cannot be read ends it.
"""

from __future__ import annotations

import functools
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import clips
import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 1000


def embed(row: dict, model: str, reader: str) -> dict:
    indices, vector = clips.embed(row["video"], model, reader)
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
