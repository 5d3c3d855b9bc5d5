"""Determines what the checkpoint's processor does from its answers to pictures and texts, so that the graph can do the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer

from checkpoint import Checkpoint
from files import Refused
from golden_clips import golden_clip

TEXTS = [
    "",
    "a",
    "A red car turning left.",
    "two people, walking; one dog?",
    "naïve café 東京 🚗",
    "x" * 300,
    "word " * 400,
]


SAME_RESIZE = (
    1.1  # levels: our resize rounds to 8 bits after each of two passes, and a resize in floats does not
)


@dataclass
class Resize:
    """How the processor's resize compares with ours. The bundle takes pictures after the resize, so a difference is reported, not corrected."""

    told: str
    cosine: float | None  # lowest between the vectors of both, where they differ by more than rounding

    def warning(self) -> str | None:
        if self.cosine is None:
            return None
        return (
            f"the checkpoint's processor resizes otherwise than this library: {self.told}; the lowest cosine between the vectors of the "
            f"two is {self.cosine:.4f}. Pictures that are already of the model's size are not touched"
        )


@dataclass
class Preprocessing:
    """`key` = layout(scale · level + offset), per channel, with level 0..255."""

    key: str
    channels_first: bool  # [B, 3, T, R, R] instead of [B, T, 3, R, R]
    scale: np.ndarray  # [3]
    offset: np.ndarray  # [3]
    largest_error: float  # of that formula, against the processor, in units of its output
    resize: Resize


def measure(checkpoint: Checkpoint) -> Preprocessing:
    """Raises Refused when a scale and an offset per channel cannot express what the processor does."""
    frames, resolution = checkpoint.frames, checkpoint.resolution

    def process(clip: np.ndarray) -> tuple[str, np.ndarray]:
        output = checkpoint.processor(videos=clip[None])
        if len(output) != 1:
            raise Refused(f"the processor makes {', '.join(output)} of a video; expected one tensor")
        key, value = next(iter(output.items()))
        return key, torch.as_tensor(value).float().numpy()[0]

    # Every frame and channel has its own level, so one answer gives layout, order, scale and offset.
    levels = np.arange(frames * 3).reshape(frames, 3) * 7 % 256
    key, values = process(
        np.broadcast_to(levels[:, :, None, None], (frames, 3, resolution, resolution)).astype(np.uint8)
    )
    channels_first = values.shape == (3, frames, resolution, resolution) and frames != 3
    if channels_first:
        values = values.swapaxes(0, 1)
    if values.shape != (frames, 3, resolution, resolution):
        raise Refused(
            f"the processor's `{key}` has shape {values.shape}; expected {(frames, 3, resolution, resolution)} or channels first"
        )
    scale, offset = np.empty(3), np.empty(3)
    for channel in range(3):
        scale[channel], offset[channel] = np.polyfit(
            levels[:, channel], values[:, channel].mean(axis=(1, 2)), 1
        )

    largest = 0.0
    for clip in (golden_clip(3, frames, resolution), random_clip(frames, resolution)):
        found = process(clip)[1]
        wanted = clip * scale[:, None, None] + offset[:, None, None]
        largest = max(
            largest, float(np.abs((found.swapaxes(0, 1) if channels_first else found) - wanted).max())
        )
    if largest > 0.5 * scale.min():
        raise Refused(
            f"the processor is not a scale and an offset per channel: with {scale} and {offset} it differs by {largest:.3g} "
            f"where one level of a pixel is {scale.min():.3g}"
        )
    return Preprocessing(
        key,
        channels_first,
        scale,
        offset,
        largest,
        compare_resize(checkpoint, process, scale, offset, channels_first),
    )


def random_clip(frames: int, resolution: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (frames, 3, resolution, resolution), np.uint8)


def compare_resize(checkpoint: Checkpoint, process: Any, scale, offset, channels_first: bool) -> Resize:
    """Ours is a squash by Pillow's bilinear."""
    frames, resolution = checkpoint.frames, checkpoint.resolution
    reports, cosines = [], []
    for height, width in ((2 * resolution, 3 * resolution), (resolution * 3 // 4, resolution // 2)):
        clip = golden_clip(5, frames, max(height, width))[:, :, :height, :width]
        try:
            found = process(clip)[1]
        except Exception as error:  # any exception of the checkpoint's code is its answer
            reports.append(f"{width}x{height} is refused ({type(error).__name__})")
            continue
        found = found.swapaxes(0, 1) if channels_first else found
        ours = np.stack(
            [
                np.asarray(
                    Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0))).resize(
                        (resolution, resolution), Image.Resampling.BILINEAR
                    )
                ).transpose(2, 0, 1)
                for frame in clip
            ]
        )
        if found.shape != ours.shape:
            reports.append(f"{width}x{height} gives {found.shape}")
            continue
        difference = np.abs((found - offset[:, None, None]) / scale[:, None, None] - ours)
        reports.append(
            f"{width}x{height} differs from Pillow's bilinear by {difference.mean():.2f} levels on average, {difference.max():.1f} at most"
        )
        if difference.max() > SAME_RESIZE:
            theirs, mine = (checkpoint.encode_video(clips[None])[0] for clips in (clip, ours))
            cosines.append(float(torch.nn.functional.cosine_similarity(theirs, mine, dim=0)))
    return Resize("; ".join(reports), min(cosines, default=None))


def tokenizer_json(checkpoint: Checkpoint) -> str:
    """The checkpoint's tokenizer as tokenizer.json, proven on TEXTS to give the ids its processor gives."""
    tokenizer = getattr(checkpoint.processor, "tokenizer", None)
    if tokenizer is None:
        raise Refused(f"{type(checkpoint.processor).__name__} has no tokenizer")
    if not tokenizer.is_fast:
        from transformers import BertTokenizerFast

        tokenizer = BertTokenizerFast(vocab_file=tokenizer.vocab_file, do_lower_case=tokenizer.do_lower_case)
    # The caller pads and truncates, so the file must not.
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content["padding"] = content["truncation"] = None
    text = json.dumps(content, ensure_ascii=False)
    plain = Tokenizer.from_str(text)
    plain.enable_truncation(checkpoint.max_text_tokens)
    output = checkpoint.processor(text=TEXTS)
    for sample, ids, mask in zip(TEXTS, output["input_ids"].tolist(), output["attention_mask"].tolist()):
        wanted, found = [i for i, kept in zip(ids, mask) if kept], plain.encode(sample).ids
        if wanted != found:
            raise Refused(
                f"tokenizer.json gives {found[:8]}… for {sample[:30]!r}, the processor {wanted[:8]}…"
            )
    return text
