"""Writes native/test/goldens/frame_rules.inc: the frames that NVIDIA's curators and its Video Search and Summarization choose.

    python3 -m venv .venv && .venv/bin/pip install numpy==2.4.6
    .venv/bin/python scripts/goldens/make_frame_rules.py

The curators' rule is that of cosmos-curate at 1db44af (frame creation for Cosmos-Embed1, and the sampling that it calls),
written again from its description: times are numbers of 32 bits, `arange` makes the samples, `searchsorted` finds the nearest frame,
the earlier of two; a frame that is nearest to several samples counts as often.
"""

from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[2] / "native/test/goldens/frame_rules.inc"
VIDEOS = 400
CLOCKS = (1000, 12800, 15360, 24000, 30000, 90000)
RATES = (
    (25, 1),
    (30, 1),
    (30000, 1001),
    (24, 1),
    (24000, 1001),
    (50, 1),
    (60, 1),
    (20, 1),
    (10, 1),
    (15, 2),
    (1, 1),
)
LENGTHS = (4, 12, 60, 400, 4000)
WANTED = (8, 8, 8, 4, 16, 1)


class Random:
    """mulberry32; the test implements it too."""

    def __init__(self, seed):
        self.state = seed

    def below(self, count):
        mask = 0xFFFFFFFF
        self.state = (self.state + 0x6D2B79F5) & mask
        value = self.state
        value = ((value ^ value >> 15) * (value | 1)) & mask
        value ^= (value + (((value ^ value >> 7) * (value | 61)) & mask)) & mask
        return ((value ^ value >> 14) & mask) % count


def video_of(seed):
    """Ticks, ticks per second, frames wanted. Of a constant rate or with gaps, from zero or later."""
    random = Random(seed)
    clock = CLOCKS[random.below(len(CLOCKS))]
    frames, seconds = RATES[random.below(len(RATES))]
    count = 1 + random.below(LENGTHS[random.below(len(LENGTHS))])
    start = random.below(10 * clock) if random.below(3) == 0 else 0
    has_gaps = random.below(3) == 0
    wanted = WANTED[random.below(len(WANTED))]
    ticks, step = [], 0
    for _ in range(count):
        ticks.append(start + (step * clock * seconds + frames // 2) // frames)
        step += 1 + (random.below(12) if has_gaps and random.below(4) == 0 else 0)
    return ticks, clock, wanted


def nearest(times, rate):
    interval = 1.0 / rate
    samples = np.arange(times[0], times[-1] + interval * 0.5, interval, dtype=np.float32)
    right = (
        np.clip(np.searchsorted(times, samples), 1, max(len(times) - 1, 1))
        if len(times) > 1
        else np.zeros(len(samples), int)
    )
    if len(times) == 1:
        return right
    left = right - 1
    chosen = np.where(np.abs(samples - times[right]) < np.abs(samples - times[left]), right, left)
    return np.where(samples >= times[-1], len(times) - 1, chosen)


def curator(ticks, clock, wanted):
    times = np.array([tick * (1 / clock) for tick in ticks], dtype=np.float32)
    rate = 2.0
    frames = nearest(times, rate)
    while len(frames) < wanted:
        rate *= 2
        if rate > 20:
            return []
        frames = nearest(times, rate)
    return frames[:: len(frames) // wanted][:wanted].tolist()


def rounded(count, wanted):
    if count < wanted:
        return [min(i, count - 1) for i in range(wanted)]
    return np.linspace(0, count - 1, wanted).round().astype(int).tolist()


lines = ["// Written by scripts/goldens/make_frame_rules.py. No frames: refused.", "// clang-format off"]
lines += ["constexpr FrameRuleGolden kFrameRules[] = {"]
for seed in range(VIDEOS):
    ticks, clock, wanted = video_of(seed)
    row = ", ".join(
        "{" + ", ".join(map(str, frames)) + "}"
        for frames in (curator(ticks, clock, wanted), rounded(len(ticks), wanted))
    )
    lines += [f"    {{{seed}, {len(ticks)}, {wanted}, {row}}},"]
lines += ["};", "// clang-format on"]
OUT.write_text("\n".join(lines) + "\n")
