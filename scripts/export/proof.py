"""Shows that the graphs give the checkpoint's own vectors, or stops the export."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from checkpoint import Checkpoint
from files import Refused
from golden_clips import golden_clip

LOWEST_COSINE = {"fp32": 0.9999, "fp16": 0.999, "bf16": 0.999}
NORM_TOLERANCE = 1e-3
TEXTS = ["a red car turning left", "people walking on a street", "A dog, running!", "ball",
         "a video of a white square moving from left to right and a green circle standing on the road"]


@dataclass
class Reference:
    """What the checkpoint says: inputs, and its float32 vectors for them."""
    seeds: list[int]
    clips: np.ndarray   # uint8 [n, T, 3, R, R]
    texts: list[str]
    ids: list[list[int]]
    video: np.ndarray   # float32 [n, D]
    text: np.ndarray


def ask(checkpoint: Checkpoint, clips: int) -> Reference:
    """Clip by clip, so that memory stays flat."""
    seeds = list(range(clips))
    videos = np.stack([golden_clip(seed, checkpoint.frames, checkpoint.resolution) for seed in seeds])
    video = np.concatenate([checkpoint.encode_video(clip[None]).numpy() for clip in videos])
    tokens = checkpoint.processor(text=TEXTS)
    ids = [row[mask.bool()].tolist() for row, mask in zip(torch.as_tensor(tokens["input_ids"]), torch.as_tensor(tokens["attention_mask"]))]
    return Reference(seeds, videos, TEXTS, ids, unit(video), unit(checkpoint.encode_text(TEXTS).numpy()))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def session(path: Path, optimised: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if optimised is not None:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(optimised)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check_video(path: Path, reference: Reference, precision: str, float_channels_first: bool) -> float:
    """The lowest cosine over the clips, run one alone and the rest together."""
    clips = reference.clips
    if float_channels_first:
        clips = np.ascontiguousarray(clips.transpose(0, 2, 1, 3, 4)).astype(np.float32) / 255
    runner = session(path)
    found = np.concatenate([runner.run(None, {"videos": clips[rows]})[0] for rows in (slice(0, 1), slice(1, None))])
    return judge("video", found, reference.video, precision)


def check_text(path: Path, reference: Reference, precision: str, longest: int) -> float:
    """The lowest cosine over the texts, each alone at its own length and all together padded to `longest`."""
    runner = session(path)
    alone = [runner.run(None, {"input_ids": np.array([row]), "attention_mask": np.ones((1, len(row)), np.int64)})[0] for row in reference.ids]
    ids = np.zeros((len(reference.ids), longest), np.int64)
    mask = np.zeros_like(ids)
    for index, row in enumerate(reference.ids):
        ids[index, :len(row)], mask[index, :len(row)] = row, 1
    padded = runner.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    return min(judge(f"text, {how}", found, reference.text, precision) for how, found in
               (("alone", np.concatenate(alone)), ("padded", padded)))


def judge(what: str, found: np.ndarray, wanted: np.ndarray, precision: str) -> float:
    if found.shape != wanted.shape or found.dtype != np.float32:
        raise Refused(f"{what}: the graph gives {found.dtype} {found.shape}; expected float32 {wanted.shape}")
    norms = np.linalg.norm(found, axis=1)
    if not np.all(np.abs(norms - 1) < NORM_TOLERANCE):
        raise Refused(f"{what}: lengths are {norms.min():.6f} to {norms.max():.6f}; expected 1")
    cosine = float((found * wanted).sum(axis=1).min() / norms.max())
    if not cosine >= LOWEST_COSINE[precision]:
        raise Refused(f"{what}: the lowest cosine between ONNX Runtime and the checkpoint is {cosine:.6f} in {precision}; "
                      f"expected at least {LOWEST_COSINE[precision]}")
    return cosine


def nearest(vectors: np.ndarray) -> float:
    """The cosine of the two most alike: how much the proof could have noticed."""
    cosines = vectors @ vectors.T
    return float((cosines - 2 * np.eye(len(vectors))).max())


def fusions(path: Path, scratch: Path) -> str:
    """What ONNX Runtime's optimiser makes of the graph; only for graphs with their weights inside."""
    session(path, scratch)
    nodes = onnx.load(scratch).graph.node
    counts = Counter(node.op_type for node in nodes if node.domain == "com.microsoft")
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
