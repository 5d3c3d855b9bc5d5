"""Keeps the checkpoint's code in plain float32 while it is loaded, asked and traced.

Published code picks its types for a GPU: it halves its weights, wraps calls in autocast, recomputes activations to save
memory in training. On a CPU some of that is unknown, some rounds the vectors that the graphs are held against, and none of
it belongs into a graph. The graphs' own precision is written later, by precision.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.utils.checkpoint
from torch.overrides import TorchFunctionMode

NARROW = {torch.float16: torch.float32, torch.bfloat16: torch.float32}
# They say what bytes mean, such as those of a file of weights in 16 bits, and compute nothing.
READING = {torch.Tensor.view, torch.frombuffer}
NARROWING = {torch.Tensor.half: torch.Tensor.float, torch.Tensor.bfloat16: torch.Tensor.float}


class Float32(TorchFunctionMode):
    """Answers every request for 16 bits with 32."""

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if function in READING:
            return function(*args, **(kwargs or {}))
        widened = {name: widen(value) for name, value in (kwargs or {}).items()}
        return NARROWING.get(function, function)(*(widen(value) for value in args), **widened)


def widen(value: Any) -> Any:
    return NARROW.get(value, value) if isinstance(value, torch.dtype) else value


@contextmanager
def float32() -> Iterator[None]:
    """Inside, no module halves anything, autocast does nothing and nothing is recomputed."""
    autocast, checkpoint = torch.amp.autocast_mode.autocast, torch.utils.checkpoint
    kept = (autocast.__enter__, autocast.__exit__, checkpoint.checkpoint, checkpoint.checkpoint_sequential)
    autocast.__enter__, autocast.__exit__ = lambda self: self, lambda self, *_: None
    checkpoint.checkpoint, checkpoint.checkpoint_sequential = call, call_in_turn
    try:
        with Float32():
            yield
    finally:
        autocast.__enter__, autocast.__exit__, checkpoint.checkpoint, checkpoint.checkpoint_sequential = kept


def call(
    function: Callable,
    *args: Any,
    use_reentrant: Any = None,
    context_fn: Any = None,
    determinism_check: Any = None,
    debug: Any = None,
    preserve_rng_state: Any = None,
    **kwargs: Any,
) -> Any:
    return function(*args, **kwargs)


def call_in_turn(functions: Any, segments: int, value: Any, **_: Any) -> Any:
    for function in functions:
        value = function(value)
    return value
