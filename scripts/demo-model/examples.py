#!/usr/bin/env python3
"""Renders the clips of examples/clips, each chosen by hand, and the captions.json that says what they show.

python3 examples.py --out ../../examples/clips
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from render import render

# File name: caption, background and (shape, colour, motion) of each object.
CLIPS = {
    "red-circle.mp4": ("a red circle moves from right to left", "black", [("circle", "red", "left")]),
    "blue-circle.webm": ("a blue circle moves from left to right", "grey", [("circle", "blue", "right")]),
    "green-triangle.mp4": ("a green triangle rises", "white", [("triangle", "green", "up")]),
    "yellow-star.webm": ("a yellow star falls", "dark blue", [("star", "yellow", "down")]),
    "pink-heart.mp4": ("a pink heart grows", "dark green", [("heart", "pink", "growing")]),
    "purple-heart.webm": ("a purple heart gets smaller", "grey", [("heart", "purple", "shrinking")]),
    "orange-square.mp4": ("an orange square spins in place", "dark blue", [("square", "orange", "spinning")]),
    "white-crescent.webm": (
        "a white moon circles clockwise",
        "dark red",
        [("crescent", "white", "clockwise")],
    ),
    "cyan-cross.mp4": ("a cyan cross stands still", "black", [("cross", "cyan", "still")]),
    "red-circle-blue-square.mp4": (
        "a red circle moves left and a blue square moves up",
        "white",
        [("circle", "red", "left"), ("square", "blue", "up")],
    ),
    "blue-circle-red-square.webm": (
        "a blue circle moves left and a red square moves up",
        "white",
        [("circle", "blue", "left"), ("square", "red", "up")],
    ),
    "green-ring-yellow-star.webm": (
        "a green ring swings from side to side next to a growing yellow star",
        "dark red",
        [("ring", "green", "swinging"), ("star", "yellow", "growing")],
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=6)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    shown = {}
    for index, (name, (caption, background, objects)) in enumerate(CLIPS.items()):
        parts = [dict(zip(("shape", "colour", "motion"), obj)) for obj in objects]
        clip = {"attributes": {"objects": parts, "background": background}}
        line = render({"clip": clip, "seed": args.seed, "index": index, "path": str(args.out / name)})
        shown[name] = {
            "caption": f"{caption} on a {background} background",
            "width": line["width"],
            "height": line["height"],
            "fps": line["fps"],
            "frames": line["frames"],
        }
    (args.out / "captions.json").write_text(json.dumps(shown, indent=2) + "\n")


if __name__ == "__main__":
    main()
