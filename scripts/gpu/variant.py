"""The forms of attention that experiments compare: what each is called, and what it does to a traced graph."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import onnx

import precision as precisions
import weights
from attention import scale_queries
from heads import pad_heads


@dataclass(frozen=True)
class Variant:
    half_softmax: bool = False
    heads: int | None = None

    @staticmethod
    def named(name: str) -> Variant:
        found = Variant()
        for part in name.split("+"):
            heads = re.fullmatch(r"heads-(\d+)", part)
            if part == "half-softmax":
                found = Variant(True, found.heads)
            elif heads:
                found = Variant(found.half_softmax, int(heads[1]))
            elif part != "plain":
                raise ValueError(
                    f"{part!r} is no variant; expected plain, half-softmax or heads-N, joined by +"
                )
        return found


def rewrite(
    model: onnx.ModelProto, folder: Path, variant: Variant, precision: str
) -> tuple[dict[str, weights.Change], str]:
    """Brings a traced graph to a variant and a precision, in place. @returns how to store its weights, and what was done."""
    told, padded = [], {}
    if variant.half_softmax:
        told.append(f"{scale_queries(model, folder)} factors moved to the queries")
    if variant.heads is not None:
        done = pad_heads(model, folder, variant.heads)
        padded = done.changes
        told.append(f"padded {done.by_weights} times in weights, {done.by_nodes} times by nodes")
    changes = dict(padded)
    if precision in precisions.HALF:
        wide = precisions.ALWAYS_WIDE - ({"Softmax"} if variant.half_softmax else set())
        half = weights.in_type(
            precisions.narrow(model, precision, always_wide=wide), precisions.HALF[precision]
        )
        changes |= {name: both(padded[name], each) if name in padded else each for name, each in half.items()}
    return changes, ", ".join(told) or "as exported"


def both(first: weights.Change, second: weights.Change) -> weights.Change:
    return weights.Change(second.dtype, lambda values: second.of(first.of(values)))
