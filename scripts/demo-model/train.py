#!/usr/bin/env python3
"""Trains both towers on the CPU and keeps them in one checkpoint.

    python3 train.py --seed 1 --out checkpoint.pt

The video tower learns from what the renderer knows (which colour is where, what it is, how it moves), the text tower
from the code of its caption; as both aim at the same codes they meet without ever seeing each other. A contrastive loss
alone, from scratch, learns colours and no motion in the same time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

import wordpiece
from batches import caption_batch, clip_batch
from codes import basis, code
from towers import TextTower, VideoTower


class Stream(IterableDataset):
    """Batches without end, the n-th one determined by the seed and n; drawn in a second process while this one trains."""

    def __init__(self, make, seed: int, size: int, steps: int) -> None:
        self.make, self.seed, self.size, self.steps = make, seed, size, steps

    def __iter__(self):
        for step in range(self.steps):
            yield self.make(np.random.default_rng([self.seed, step]), self.size)


def clips(rng: np.random.Generator, size: int) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in clip_batch(rng, size).items()}


class Captions:
    def __init__(self) -> None:
        self.tokenizer = wordpiece.build()
        self.tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
        self.basis = basis()

    def __call__(self, rng: np.random.Generator, size: int) -> dict[str, torch.Tensor]:
        texts, rows = caption_batch(rng, size)
        encoded = self.tokenizer.encode_batch(texts)
        return {
            "input_ids": torch.tensor([e.ids for e in encoded]),
            "attention_mask": torch.tensor([e.attention_mask for e in encoded]),
            "code": torch.from_numpy(code(rows, self.basis)),
        }


def video_loss(tower: VideoTower, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
    frames = batch["pictures"].permute(0, 1, 4, 2, 3).float() * (1 / 255)
    with torch.autocast("cpu", torch.bfloat16):
        clip = tower.watch(frames)
    seen = {name: value.float() for name, value in clip["frames"].items()}
    clip = {name: value.float() for name, value in clip.items() if name != "frames"}

    n, k = torch.nonzero(batch["colour"] >= 0, as_tuple=True)  # every object there is, and its slot
    slot = batch["colour"][n, k]
    shape, motion = batch["shape"][n, k], batch["motion"][n, k]
    length = seen["shape"].shape[1]
    target = batch["segments"].flatten(3)
    # Objects cover a few cells of a hundred; without the weight "background everywhere" is a comfortable answer.
    weight = 1 + 6 * (1 - target[:, :, 0])
    segment = -(target * seen["segments"].log_softmax(2)).sum(2) * weight
    losses = {
        "segment": segment.mean() * 2,
        "presence": F.binary_cross_entropy_with_logits(clip["presence"], batch["presence"]),
        "position": F.smooth_l1_loss(seen["position"][n, :, slot], batch["position"][n, :, k], beta=0.1),
        "size": F.smooth_l1_loss(seen["size_and_turn"][n, :, slot], batch["size_and_turn"][n, :, k], beta=0.2)
        * 0.5,
        "shape": F.cross_entropy(clip["shape"][n, slot], shape),
        "frame_shape": F.cross_entropy(
            seen["shape"][n, :, slot].flatten(0, 1), shape.repeat_interleave(length)
        )
        * 0.5,
        "motion": F.cross_entropy(clip["motion"][n, slot], motion),
        "background": F.cross_entropy(clip["background"], batch["background"]),
    }
    right = {
        "shape": (clip["shape"][n, slot].argmax(1) == shape).float().mean(),
        "motion": (clip["motion"][n, slot].argmax(1) == motion).float().mean(),
        "background": (clip["background"].argmax(1) == batch["background"]).float().mean(),
        "colours": ((clip["presence"] > 0) == (batch["presence"] > 0.5)).all(1).float().mean(),
    }
    return sum(losses.values()), {name: value.item() for name, value in right.items()}


def text_loss(tower: TextTower, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
    with torch.autocast("cpu", torch.bfloat16):
        found = tower(batch["input_ids"], batch["attention_mask"])
    similarity = (found.float() * batch["code"]).sum(1)
    return (1 - similarity).mean(), {"similarity": similarity.mean().item()}


def train(name: str, tower: torch.nn.Module, loss_of, stream: Stream, rate: float, keep) -> float:
    """AdamW: 50 steps of warm-up, flat for 60 % of the way, then down to a fiftieth. Returns the minutes it took."""
    steps, begin = stream.steps, time.monotonic()
    optimizer = torch.optim.AdamW(tower.parameters(), rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min((s + 1) / 50, 1.0, 1 - 0.98 * (s / steps - 0.6) / 0.4)
    )
    recent: dict[str, float] = {}
    tower.train()
    for step, batch in enumerate(DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=4)):
        loss, right = loss_of(tower, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        for key, value in {"loss": loss.item(), **right}.items():
            recent[key] = value if key not in recent else 0.95 * recent[key] + 0.05 * value
        if (step + 1) % 50 == 0 or step + 1 == steps:
            words = " ".join(f"{key} {value:.3f}" for key, value in recent.items())
            print(f"{name} {step + 1}/{steps} {(time.monotonic() - begin) / 60:.1f} min {words}", flush=True)
        if (step + 1) % 200 == 0 or step + 1 == steps:
            keep()
    return (time.monotonic() - begin) / 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clip-steps", type=int, default=700, help="of 64 clips each")
    parser.add_argument("--caption-steps", type=int, default=2500, help="of 128 captions each")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tower", choices=("video", "text", "both"), default="both")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("checkpoint.pt"),
        help="a tower not trained now is kept as it is there",
    )
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    state = torch.load(args.out) if args.out.exists() else {}
    captions = Captions()
    runs = {
        "video": (VideoTower, video_loss, Stream(clips, args.seed, 64, args.clip_steps), 3e-3),
        "text": (
            lambda: TextTower(captions.tokenizer.get_vocab_size()),
            text_loss,
            Stream(captions, args.seed, 128, args.caption_steps),
            2e-3,
        ),
    }
    for name, (build, loss_of, stream, rate) in runs.items():
        if args.tower not in (name, "both"):
            continue
        torch.manual_seed(args.seed)
        tower = build()

        def keep(name: str = name, tower: torch.nn.Module = tower, stream: Stream = stream) -> None:
            state[name] = tower.state_dict()
            state[f"{name}_training"] = {"seed": args.seed, "steps": stream.steps}
            torch.save(state, args.out)

        minutes = train(name, tower, loss_of, stream, rate, keep)
        print(f"{name} tower: {minutes:.1f} minutes")


if __name__ == "__main__":
    main()
