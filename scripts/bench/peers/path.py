"""Embeds a list of files, as one writes it by hand: a process per core, one thread of FFmpeg and of ONNX Runtime in each.

python path.py '{"list", "model", "out", "reader", "processes"}'
"""

from __future__ import annotations

import functools
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import clips


def embed(file: str, model: str, reader: str) -> dict:
    indices, vector = clips.embed(file, model, reader)
    return {"frames": indices, "vector": vector.tolist()}


def main() -> None:
    job = json.loads(sys.argv[1])
    clips.load(job["reader"])
    files = json.loads(Path(job["list"]).read_text())
    work = functools.partial(embed, model=job["model"], reader=job["reader"])
    with ProcessPoolExecutor(job["processes"]) as pool:
        rows = list(pool.map(work, files, chunksize=4))
    Path(job["out"]).write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
