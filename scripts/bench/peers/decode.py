"""Takes one measurement of a Python decoder: eight frames by the same rule, resized to 224 by Pillow's bilinear filter.

    python decode.py '{"peer", "file", "clips", "threads", "keep"}'

Peers: `pyav`, a plain loop over every frame; `torchcodec`, its exact seek; and `needed`, which is no product but the
lower bound: libavcodec decodes just the pictures that must be decoded, which are known beforehand.
"""

import json
import resource
import sys
import time

import av
import numpy as np
from PIL import Image

FRAMES, SIDE = 8, 224


def chosen(count):
    return [i * (count - 1) // (FRAMES - 1) for i in range(FRAMES)]


def square(rgb):
    return np.asarray(Image.fromarray(rgb).resize((SIDE, SIDE), Image.BILINEAR)).transpose(2, 0, 1)


def pyav(file, threads):
    with av.open(file) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_type = "AUTO" if threads != 1 else "SLICE"
        stream.codec_context.thread_count = threads
        count = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
        container.seek(0)
        wanted, squares = set(chosen(count)), {}
        for index, frame in enumerate(container.decode(stream)):
            if index in wanted:
                squares[index] = square(frame.to_ndarray(format="rgb24"))
            if index == count - 1:
                break
    return [squares[index] for index in chosen(count)]


def torchcodec(file, threads):
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(file, dimension_order="NHWC", num_ffmpeg_threads=threads)
    frames = decoder.get_frames_at(chosen(decoder.metadata.num_frames)).data
    return [square(frame.numpy()) for frame in frames]


class Needed:
    """Indexes once, outside the measurement, which times decode, conversion and resize alone."""

    def __init__(self, file):
        self.file = file
        with av.open(file) as container:
            stream = container.streams.video[0]
            packets = [(p.pts, p.dts, p.is_keyframe) for p in container.demux(stream) if p.size]
        order = sorted(pts for pts, _, _ in packets)
        self.targets = [order[index] for index in chosen(len(order))]
        keys = [(pts, dts) for pts, dts, key in packets if key]
        # For each target, the last keyframe shown no later than it. Targets with the same keyframe share a run.
        self.runs = {}
        for pts in dict.fromkeys(self.targets):
            key = max((key for key in keys if key[0] <= pts), key=lambda key: key[0])
            self.runs.setdefault(key, []).append(pts)

    def __call__(self, _file, threads):
        squares = {}
        with av.open(self.file) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            context.thread_type = "FRAME" if threads != 1 else "SLICE"
            context.thread_count = threads
            runs = list(self.runs.items())
            for (key, _), wanted in runs:
                left = set(wanted)
                container.seek(key, stream=stream)
                context.flush_buffers()
                for packet in container.demux(stream):
                    context.skip_frame = "DEFAULT" if packet.pts in left or packet.size == 0 else "NONREF"
                    for frame in packet.decode():
                        if frame.pts in left:
                            squares[frame.pts] = square(frame.to_ndarray(format="rgb24"))
                            left.discard(frame.pts)
                    if not left:
                        break
        return [squares[pts] for pts in self.targets]


def main():
    job = json.loads(sys.argv[1])
    peer, file, clips, threads = job["peer"], job["file"], job["clips"], job["threads"]
    decode = {"pyav": lambda: pyav, "torchcodec": lambda: torchcodec, "needed": lambda: Needed(file)}[peer]()
    first = decode(file, threads)
    if job.get("keep"):
        np.stack(first).tofile(job["keep"])
    began, used_before = time.perf_counter(), time.process_time()
    for _ in range(clips):
        decode(file, threads)
    seconds, used = time.perf_counter() - began, time.process_time() - used_before
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"clipsPerSecond": clips / seconds, "cpuSeconds": used / clips, "rssMiB": rss}))


if __name__ == "__main__":
    main()
