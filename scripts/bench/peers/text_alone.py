"""ONNX Runtime alone, which no server of this model on ONNX Runtime can outrun: no requests, no tokenising, no mean.

python3 text_alone.py MODEL_FOLDER SECONDS < ROUNDS

ROUNDS is a JSON list of lists: the texts that wait at one time, one of each caller. Sorted by length, they are cut into batches of one size, and
the size that is fastest counts. A run has a thread for each core, and the threads spin.
"""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import cycle
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

SHARE_OF_TRIALS = 0.3


def inputs_of(rows: list[list[int]]) -> dict[str, np.ndarray]:
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = row
        mask[at, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def cut(rounds: list[list[list[int]]], size: int) -> list[dict[str, np.ndarray]]:
    return [inputs_of(rows[at : at + size]) for rows in rounds for at in range(0, len(rows), size)]


def measure(
    session: onnxruntime.InferenceSession, batches: list[dict[str, np.ndarray]], seconds: float
) -> dict:
    texts, began, used = 0, time.perf_counter(), time.process_time()
    for batch in cycle(batches):
        session.run(None, batch)
        texts += len(batch["input_ids"])
        elapsed = time.perf_counter() - began
        if elapsed >= seconds:
            return {"perSecond": texts / elapsed, "processorMs": 1000 * (time.process_time() - used) / texts}


def main() -> None:
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    rounds = [
        sorted((each.ids for each in tokenizer.encode_batch(texts)), key=len)
        for texts in json.load(sys.stdin)
    ]
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    session.run(None, inputs_of(rounds[0]))
    sizes = [2**power for power in range(len(rounds[0]).bit_length())]
    ways = {size: cut(rounds, size) for size in sizes}
    trial = seconds * SHARE_OF_TRIALS / len(sizes)
    fastest = max(sizes, key=lambda size: measure(session, ways[size], trial)["perSecond"])
    print(json.dumps({**measure(session, ways[fastest], seconds), "batch": fastest}))


if __name__ == "__main__":
    main()
