"""Progress for the user: the step, the elapsed time, the memory, and the remaining time. Standard library only.

The parts of an export are processes of their own. They share one count of steps and one clock.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from space import gigabytes

T = TypeVar("T")
# Python's monotonic clock is the system's, so it can be handed to the processes that this one starts.
STARTED = float(os.environ.setdefault("COSMOS_EMBED_EXPORT_STARTED", repr(time.monotonic())))
EVERY = 10.0  # seconds between two lines about one step
STEPS = 9  # of a whole export
MEASURED_ON = 2  # cores of the machine that the usual durations were measured on


@dataclass(frozen=True)
class Work:
    """Work that cannot tell how far it is.

    Its seconds per gigabyte are half the processor time that the stand-in took, with the published sizes but fewer layers:
    what two cores take that have nothing else to do.
    """

    name: str
    seconds: float


START = Work("starting PyTorch", 9.0)  # in all
LOAD = Work("loading the checkpoint", 6.0)  # of its weights
TRACE = {  # of all weights in 32 bits
    "video": Work("tracing the video tower", 15.0),
    "text": Work("tracing the text tower", 2.5),
}
OPEN = Work("reading the graph into ONNX Runtime", 5.0)  # of the graph with its weights


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 600 else f"{seconds / 60:.0f} min"


def say(text: str) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"[{time.monotonic() - STARTED:6.1f} s, {used:4.1f} GB] {text}", file=sys.stderr, flush=True)


def usually(work: Work, count: float) -> str:
    """How long `work` on `count` bytes took where it was measured, for work that cannot tell how far it is."""
    return f"usually about {duration(max(work.seconds * count / 1e9, 1))} on {MEASURED_ON} cores"


class Steps:
    """Numbers the steps of an export. `done`: those that came before this process."""

    def __init__(self, done: int = 0):
        self.done = done

    def next(self, text: str) -> None:
        self.done = min(self.done + 1, STEPS)
        say(f"step {self.done} of {STEPS}: {text}")


@contextmanager
def telling(line: Callable[[float], str]) -> Iterator[None]:
    """While the block runs, says from time to time what `line` makes of the seconds since its begin."""
    stop, started = threading.Event(), time.monotonic()

    def watch() -> None:
        while not stop.wait(EVERY):
            say("  " + line(time.monotonic() - started))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def waiting(work: Work, count: float):
    """Around `work` on `count` bytes: says how long it usually takes, where that is long, and then how long it has run."""
    if work.seconds * count / 1e9 >= EVERY / 2:
        say(f"{work.name}, {usually(work, count)}")
    return telling(lambda elapsed: f"{work.name}: {duration(elapsed)} so far, {usually(work, count)}")


def watched(measure: Callable[[], int], total: int, what: str):
    """Around work whose bytes can be counted: says how many of `total` `measure` finds, their rate and the remaining time."""
    first = measure()

    def line(elapsed: float) -> str:
        done = min(measure(), total)
        rate = max(done - first, 0) / elapsed
        left = f", about {duration((total - done) / rate)} left" if rate > 0 and done < total else ""
        return f"{what}: {gigabytes(done)} of {gigabytes(total)}, {rate / 1e6:.1f} MB/s{left}"

    return telling(line)


@contextmanager
def counter(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Yields a function that is told of bytes that were dealt with, out of `total`."""
    done = 0

    def seen(count: int) -> None:
        nonlocal done
        done += count

    with watched(lambda: done, total, what):
        yield seen


def measured(items: Iterable[T], size: Callable[[T], int], total: int, what: str) -> Iterator[T]:
    """Yields `items`, and says from time to time how many of `total` bytes they make up that were dealt with."""
    with counter(total, what) as seen:
        for item in items:
            count = size(item)  # before whoever takes it changes it
            yield item
            seen(count)


def counted(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yields `items`, and says from time to time which one it is at and how long the rest will take."""
    done, ended = 0, 0.0  # how many, and how long they took
    started = time.monotonic()

    def line(elapsed: float) -> str:
        left = f", about {duration(max(ended / done * total - elapsed, 0))} left" if done else ""
        return f"{what} {min(done + 1, total)} of {total}: {duration(elapsed)} so far{left}"

    with telling(line):
        for item in items:
            yield item
            done, ended = done + 1, time.monotonic() - started
