"""Starts convert.py, and says how long that takes: the first import of PyTorch reads gigabytes from the disk."""

import signal
import sys

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

from steps import START, waiting  # noqa: E402  (the signal may come at any time)

if __name__ == "__main__":
    try:
        with waiting(START, 1e9):
            import convert
        sys.exit(convert.main())
    except KeyboardInterrupt:
        sys.exit(130)
