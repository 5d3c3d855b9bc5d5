"""PyAV's side of a comparison, in the plainest way: one thread decodes every frame, in order.

    python peer.py      reads jobs from scripts/compare.mjs as JSON lines and answers each with one line

A job: { file, bars?, runs: [{ frames, start?, end?, library?: { indices, sizes, pictures } }] }. `pictures` is a file with the
library's pictures, RGB, one after the other; it is compared here, where numpy is.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from pictures import barcode, thumb_of_frame, thumb_of_rgb, to_rgb

REORDER = 33  # decoders hold back 16 pictures of two fields at most: a time that lies further back is a clock that was reset
KEPT_BYTES = 1 << 28  # pictures of the first pass that are kept for the comparison


class Video:
    """Counts, times and small pictures of all frames, and the pictures that a set of runs wants."""

    def __init__(self, path: Path, bars: int):
        self.path, self.bars = path, bars
        self.errors = self.corrupt = 0
        self.stamps: list[int | None] = []
        self.packets: list[tuple[int | None, int | None]] = []
        self.thumbs: list[np.ndarray] = []
        self.numbers: list[int] = []
        self.kept: dict[int, np.ndarray] = {}

    def read(self, guess: set[int]) -> None:
        """`guess`: the frames that runs will probably ask for, so that one pass is usually enough."""
        for index, frame in enumerate(self.displayed(self.packets)):
            self.stamps.append(self.signed(frame.pts))
            self.thumbs.append(thumb_of_frame(frame).astype(np.float16))
            self.corrupt += frame.is_corrupt
            if self.bars:
                self.numbers.append(barcode(frame, self.bars))
            if index in guess and len(self.kept) * frame.width * frame.height * 3 < KEPT_BYTES:
                self.kept[index] = to_rgb(frame)

    def signed(self, stamp: int | None) -> int | None:
        """Corrects negative times in Ogg, which FFmpeg reads as unsigned: they are too large by a power of two."""
        if stamp is None or self.container != "ogg" or stamp < 1 << 32:
            return stamp
        return stamp - (1 << round(math.log2(stamp)))

    def pictures(self, wanted: set[int]) -> dict[int, np.ndarray]:
        missing = wanted - self.kept.keys()
        if missing:
            errors = self.errors
            for index, frame in enumerate(self.displayed()):
                if index in missing:
                    self.kept[index] = to_rgb(frame)
                if index >= max(missing):
                    break
            self.errors = errors
        return self.kept

    def displayed(
        self, packets_seen: list[tuple[int | None, int | None]] | None = None
    ) -> Iterator[VideoFrame]:
        """The frames that a player would show, in the decoder's output order, which is the display order."""
        with av.open(str(self.path)) as container:
            stream = container.streams.best("video")
            if stream is None:
                raise ValueError("no video stream")
            context = stream.codec_context
            context.thread_count = 1
            self.container, self.codec, self.time_base = container.format.name, context.name, stream.time_base
            self.rate = float(stream.average_rate or stream.guessed_rate or 25)
            for packet in self.whole_packets(container.demux(stream)):
                if packets_seen is not None and packet is not None:
                    packets_seen.append((packet.pts, packet.dts))
                try:
                    frames = context.decode(packet)
                except av.error.EOFError:
                    return
                except av.error.FFmpegError:
                    self.errors += 1
                    continue
                for frame in frames:
                    self.pixel_format = frame.format.name
                    yield frame

    def whole_packets(self, packets: Iterator[av.Packet]) -> Iterator[av.Packet | None]:
        """Those with data, and None at the end. A last one that the file ends within is no picture, whatever a decoder makes of it."""
        held = None
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:  # the file ends here for FFmpeg; what was read is still to be shown
                self.errors += 1
                packet = None
            if packet is not None and packet.size == 0:
                continue
            if held is not None and not (packet is None and held.is_corrupt):
                yield held
            held = packet
            if packet is None:
                yield None
                return

    def times(self) -> list[float] | None:
        """Seconds from the first frame. A clock that is reset goes on where it was. None where times are missing."""
        stamps = self.stamps
        if self.container == "avi" or any(pts is None for pts, _ in self.packets):
            # An AVI has slots in the order of decoding, and what is made up for a missing time is off by a decoder's delay.
            # The times of decoding are as many as the frames, or nothing is known.
            stamps = [dts for _, dts in self.packets]
            if len(stamps) != len(self.stamps):
                return None
        if any(stamp is None for stamp in stamps):
            return None
        steps = np.diff(np.unique(stamps))
        step = int(np.median(steps)) if len(steps) else 1
        epochs: list[list[int]] = [[]]
        for stamp in stamps:
            if epochs[-1] and stamp < max(epochs[-1]) - REORDER * step:
                epochs.append([])
            epochs[-1].append(stamp)
        times: list[int] = []
        for epoch in epochs:
            # In order of display, times rise: where a container has decode times only, the decoder hands them out in that order.
            shift = times[-1] + step - min(epoch) if times else -min(epoch)
            times += [stamp + shift for stamp in sorted(epoch)]
        self.epochs = len(epochs)
        return [float(time * self.time_base) for time in times]


def chosen(count: int, frames: int) -> list[int]:
    return [index * (count - 1) // max(1, frames - 1) for index in range(frames)]


def of_range(count: int, times: list[float] | None, step: float, run: dict) -> range | None:
    """The frames of a run, or None for a range in a video without times."""
    start, end = run.get("start"), run.get("end")
    if start is None and end is None:
        return range(count)
    if times is None:
        return None
    inside = [
        index for index, time in enumerate(times) if time >= (start or 0) and (end is None or time < end)
    ]
    if inside:
        return range(inside[0], inside[-1] + 1)
    before = [index for index, time in enumerate(times) if time < (start or 0)]
    is_over = start >= times[-1] + step
    return (
        range(0) if is_over else range(before[-1], before[-1] + 1)
    )  # no frame begins in it: the one before is seen


def compare(video: Video, wanted: list[int], library: dict) -> list[dict]:
    """Per picture of the library's: how far it is from the wanted one, and which frame it looks like."""
    data = np.fromfile(library["pictures"], np.uint8)
    own = video.pictures(set(wanted))
    thumbs = np.stack(video.thumbs).reshape(len(video.thumbs), -1).astype(np.float32)
    results, at = [], 0
    for index, (width, height) in zip(wanted, library["sizes"]):
        image = data[at : at + 3 * width * height].reshape(height, width, 3)
        at += image.size
        found: dict = {"wanted": index}
        if image.shape != own[index].shape:
            found["size"] = list(own[index].shape[1::-1])
        else:
            difference = np.abs(image.astype(np.int16) - own[index])
            found |= {"mean": float(difference.mean()), "max": int(difference.max())}
        likeness = thumbs @ thumb_of_rgb(image).ravel()
        nearest = int(likeness.argmax())
        found["nearest"] = index if likeness[index] >= likeness[nearest] - 1e-3 else nearest
        results.append(found)
    return results


def answer(job: dict) -> dict:
    video = Video(Path(job["file"]), job.get("bars", 0))
    guess = {index for run in job["runs"] for index in run.get("library", {}).get("indices", [])}
    try:
        video.read(guess)
        if not video.stamps:
            raise ValueError("no frame could be decoded")
    except Exception as error:  # any exception of PyAV is its answer about the file
        return {"file": job["file"], "error": f"{type(error).__name__}: {error}"}
    times = video.times()
    runs = []
    for run in job["runs"]:
        frames = of_range(len(video.stamps), times, 1 / video.rate, run)
        if not frames:
            runs.append({"count": None if frames is None else 0})
            continue
        indices = chosen(len(frames), run["frames"])
        wanted = [frames[index] for index in indices]
        result = {
            "count": len(frames),
            "indices": indices,
            "times": [times[index] for index in wanted] if times else None,
        }
        if "library" in run:
            result["pictures"] = compare(video, wanted, run["library"])
        runs.append(result)
    return {
        "file": job["file"],
        "container": video.container,
        "codec": video.codec,
        "pixelFormat": video.pixel_format,
        "count": len(video.stamps),
        "errors": video.errors,
        "corrupt": video.corrupt,
        "epochs": getattr(video, "epochs", 1),
        "tick": float(video.time_base),
        "step": 1 / video.rate,
        "numbers": video.numbers,
        "runs": runs,
    }


def main() -> None:
    versions = {
        "PyAV": av.__version__,
        "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
        "ffmpeg": av.ffmpeg_version_info,
    }
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    av.logging.set_level(None)
    main()
