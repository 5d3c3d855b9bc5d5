"""Progress for the user: the step, the elapsed time, the memory, and the remaining time."""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from space import gigabytes

T = TypeVar("T")
STARTED = time.monotonic()
EVERY = 5.0  # seconds between two lines about one step


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def say(text: str) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"[{time.monotonic() - STARTED:6.1f} s, {used:4.1f} GB] {text}", file=sys.stderr, flush=True)


class Steps:
    """Numbers the steps of a run whose count is known."""

    def __init__(self, count: int):
        self.count, self.done = count, 0

    def next(self, text: str) -> None:
        self.done = min(self.done + 1, self.count)
        say(f"step {self.done} of {self.count}: {text}")


def counted(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yields `items`, and prints from time to time how many are left and how long they will take."""
    started = told = time.monotonic()
    for index, item in enumerate(items):
        yield item
        now, done = time.monotonic(), index + 1
        if done < total and now - told >= EVERY:
            told = now
            say(f"  {what} {done} of {total}, about {duration((now - started) / done * (total - done))} left")


@contextmanager
def watched(measure: Callable[[], int], total: int, what: str) -> Iterator[None]:
    """While the block runs, prints how many of `total` bytes `measure` finds, their rate and the remaining time."""
    stop, started, first = threading.Event(), time.monotonic(), measure()

    def watch() -> None:
        while not stop.wait(EVERY):
            done = min(measure(), total)
            rate = (done - first) / (time.monotonic() - started)
            left = f", about {duration((total - done) / rate)} left" if rate > 0 else ""
            say(f"  {what}: {gigabytes(done)} of {gigabytes(total)}, {rate / 1e6:.1f} MB/s{left}")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
