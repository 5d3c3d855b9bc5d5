"""Shows that the graphs give the checkpoint's own vectors, or stops the export."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

import precision as precisions
import rounding
from checkpoint import Checkpoint
from clips import Clip
from files import Refused
from steps import OPEN, counted, waiting

LOWEST_COSINE = {"fp32": 0.9999, "fp16": 0.999, "mixed": 0.999, "bf16": 0.999, "int8": 0.995}
MORE_DIGITS = {
    "fp32": "",
    "fp16": ": --precision fp32 keeps all digits",
    "mixed": ": --precision fp32 keeps all digits",
    "bf16": ": --precision mixed keeps more digits, fp32 all of them",
    "int8": ": these weights are not to be had in 8 bits; --precision fp32 or fp16 runs on CPUs too",
}
NORM_TOLERANCE = 1e-3
TEXTS = [
    "a red car turning left",
    "people walking on a street",
    "A dog, running!",
    "ball",
    "a video of a white square moving from left to right and a green circle standing on the road",
]


@dataclass
class Reference:
    """The checkpoint's answers: inputs, and its float32 vectors for them."""

    clips: list[Clip]
    texts: list[str]
    ids: list[list[int]]
    video: np.ndarray  # float32 [n, D]
    text: np.ndarray


@dataclass
class Proof:
    """The result of comparing one graph with the checkpoint."""

    cosine: float  # the lowest
    cosines: dict[str, float] = field(default_factory=dict)  # per clip or text
    largest: dict[str, float] = field(default_factory=dict)  # per tensor of half precision


class Overflow(Refused):
    """Numbers that 16 bits cannot hold, which would be infinite on a GPU."""

    def __init__(self, what: str, large: dict[str, float]):
        name, value = max(large.items(), key=lambda entry: entry[1])
        super().__init__(
            f"{what}: fp16 ends at 65504, and {len(large)} results pass it, the largest {value:,.0f} in "
            f"{rounding.layer_of(name)}: on a card they would be infinite. Use --precision bf16 (cards since 2020, no CPU), "
            "or --precision mixed, which keeps those layers in 32 bits and runs everywhere"
        )
        self.large = large


def ask(checkpoint: Checkpoint, clips: list[Clip]) -> Reference:
    """Clip by clip, so that memory stays flat."""
    video = np.concatenate(
        [checkpoint.encode_video(clip.pixels[None]).numpy() for clip in counted(clips, len(clips), "clip")]
    )
    tokens = checkpoint.processor(text=TEXTS)
    ids = [
        row[mask.bool()].tolist()
        for row, mask in zip(torch.as_tensor(tokens["input_ids"]), torch.as_tensor(tokens["attention_mask"]))
    ]
    return Reference(
        clips, TEXTS, ids, unit(video, "a clip"), unit(checkpoint.encode_text(TEXTS).numpy(), "a text")
    )


def unit(rows: np.ndarray, what: str) -> np.ndarray:
    if not np.isfinite(rows).all():
        raise Refused(f"the checkpoint's own code gives infinities or NaN for {what}, in float32")
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def session_options() -> onnxruntime.SessionOptions:
    """As the package runs graphs on a CPU."""
    options = onnxruntime.SessionOptions()
    # Processors without VNNI otherwise add two 8-bit products in 16 bits, and cut off what does not fit.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def session(path: Path, optimised: Path | None = None) -> onnxruntime.InferenceSession:
    options = session_options()
    options.log_severity_level = 3
    if optimised is not None:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(optimised)
    size = sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))
    with waiting(OPEN, size):
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


Run = Callable[[dict[str, np.ndarray]], np.ndarray]


def runner(path: Path, precision: str, scratch: Path, known: dict[str, float], rounds: bool = True) -> Run:
    """Runs the graph of `path` as written, or, in half precision, with every result rounded and its size added to `known`."""
    if precision not in precisions.HALF:
        plain = session(path)
        return lambda feeds: plain.run(None, feeds)[0]
    model = onnx.load(path, load_external_data=False)
    watched = rounding.emulate(model, precisions.HALF[precision], rounds)
    data = path.with_name(path.name + ".data")
    if data.exists() and not (scratch / data.name).exists():
        os.link(data, scratch / data.name)
    onnx.save_model(model, scratch / path.name)
    emulated = session(scratch / path.name)

    def run(feeds: dict[str, np.ndarray]) -> np.ndarray:
        vectors, *found = emulated.run(None, feeds)
        rounding.magnitudes(watched, found, known)
        return vectors

    return run


def check_video(
    run: Run, reference: Reference, precision: str, float_channels_first: bool
) -> dict[str, float]:
    """The cosine of each clip: one run alone, the rest in pairs."""

    def input_of(clips: list[Clip]) -> dict[str, np.ndarray]:
        pixels = np.stack([clip.pixels for clip in clips])
        return {
            "videos": np.ascontiguousarray(pixels.transpose(0, 2, 1, 3, 4)).astype(np.float32) / 255
            if float_channels_first
            else pixels
        }

    clips = reference.clips
    batches = [clips[:1], *(clips[index : index + 2] for index in range(1, len(clips), 2))]
    found = np.concatenate([run(input_of(batch)) for batch in counted(batches, len(batches), "batch")])
    return judge("video", [clip.name for clip in clips], found, reference.video, precision)


def check_text(run: Run, reference: Reference, precision: str, longest: int) -> dict[str, float]:
    """The cosine of each text, the lower of alone at its own length and together with the others padded to `longest`."""
    alone = [
        run({"input_ids": np.array([row]), "attention_mask": np.ones((1, len(row)), np.int64)})
        for row in counted(reference.ids, len(reference.ids), "text")
    ]
    ids = np.zeros((len(reference.ids), longest), np.int64)
    mask = np.zeros_like(ids)
    for index, row in enumerate(reference.ids):
        ids[index, : len(row)], mask[index, : len(row)] = row, 1
    padded = run({"input_ids": ids, "attention_mask": mask})
    both = [
        judge(f"text, {how}", reference.texts, found, reference.text, precision)
        for how, found in (("alone", np.concatenate(alone)), ("padded", padded))
    ]
    return {text: min(cosines[text] for cosines in both) for text in reference.texts}


def judge(
    what: str, names: list[str], found: np.ndarray, wanted: np.ndarray, precision: str
) -> dict[str, float]:
    if found.shape != wanted.shape or found.dtype != np.float32:
        raise Refused(f"{what}: the graph gives {found.dtype} {found.shape}; expected float32 {wanted.shape}")
    norms = np.linalg.norm(found, axis=1)
    if not np.all(np.abs(norms - 1) < NORM_TOLERANCE):
        raise Refused(f"{what}: lengths are {norms.min():.6f} to {norms.max():.6f}; expected 1")
    cosines = (found * wanted).sum(axis=1) / norms
    worst = int(cosines.argmin())
    if not cosines[worst] >= LOWEST_COSINE[precision]:
        raise Refused(
            f"{what}: the lowest cosine between ONNX Runtime and the checkpoint is {cosines[worst]:.6f} in {precision}, for "
            f"{names[worst]!r}; expected at least {LOWEST_COSINE[precision]}{MORE_DIGITS[precision]}"
        )
    return dict(zip(names, cosines.tolist()))


def prove(
    what: str, path: Path, precision: str, scratch: Path, check: Callable[[Run], dict[str, float]]
) -> Proof:
    """Raises Overflow when numbers do not fit, and Refused when the vectors differ."""
    known: dict[str, float] = {}
    half = precisions.HALF.get(precision)
    try:
        cosines = check(runner(path, precision, scratch, known))
    except Refused:
        if half is None or not rounding.overflowing(known, half):
            raise
        cosines = {}
    if half is not None and rounding.overflowing(known, half):
        # After the first infinity everything is NaN, so this run measures without rounding to find all that is too large.
        known = {}
        try:
            check(runner(path, precision, scratch, known, rounds=False))
        except Refused:
            pass  # the vectors were judged above; this run only measures
        raise Overflow(
            what,
            {
                name.removesuffix(f".{precision}"): value
                for name, value in rounding.overflowing(known, half, rounding.HEADROOM).items()
            },
        )
    return Proof(min(cosines.values()), cosines, known)


def nearest(vectors: np.ndarray) -> float:
    """The cosine of the two most similar vectors, which bounds the differences that the proof can see."""
    cosines = vectors @ vectors.T
    return float((cosines - 2 * np.eye(len(vectors))).max())


def fusions(path: Path, scratch: Path) -> str:
    """The graph after ONNX Runtime's optimiser; only for graphs with their weights inside."""
    session(path, scratch)
    nodes = onnx.load(scratch).graph.node
    counts = Counter(node.op_type for node in nodes if node.domain == "com.microsoft")
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
