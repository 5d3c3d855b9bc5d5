"""Second half of the export: from a checkpoint folder whose code was accepted to a proven bundle. Started by main.py.

Runs the checkpoint's code, so it is started without tokens and with the hub switched off.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
import torch

import bundle
import precision as precisions
import preprocessing
import proof
import weights
from checkpoint import load
from files import Refused, fingerprint, list_files
from towers import FORMS, trace_text, trace_video

STARTED = time.monotonic()
PINNED_PACKAGES = ("torch", "transformers", "onnx", "onnxruntime")


def say(text: str) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"[{time.monotonic() - STARTED:6.1f} s, {used:4.1f} GB] {text}", file=sys.stderr, flush=True)


def convert(args: argparse.Namespace, out: Path) -> None:
    form = FORMS[args.form]
    found = fingerprint(list_files(args.folder))
    if found != args.run_code:
        raise Refused(f"the code's fingerprint is {found}, accepted was {args.run_code}: the folder changed meanwhile")
    say("loading the checkpoint")
    checkpoint = load(args.folder)
    say("asking its processor what it does to pictures and texts")
    measured = preprocessing.measure(checkpoint)
    say(f"pictures: level × {measured.scale.round(8).tolist()} + {measured.offset.round(6).tolist()}, off by {measured.largest_error:.1e}; "
        f"sizes: {measured.resize}")
    (out / "tokenizer.json").write_text(preprocessing.tokenizer_json(checkpoint))
    say(f"asking the checkpoint for the vectors of {args.clips} clips and {len(proof.TEXTS)} texts")
    reference = proof.ask(checkpoint, args.clips)
    say(f"the two most alike have cosine {proof.nearest(reference.video):.4f} (clips) and {proof.nearest(reference.text):.4f} (texts)")

    files = write_graph("video", partial(trace_video, checkpoint, measured, form), args.precision, out)
    files |= write_graph("text", partial(trace_text, checkpoint, form), args.precision, out)
    sizes = {"frames": checkpoint.frames, "resolution": checkpoint.resolution, "embeddingDim": checkpoint.embedding_dim,
             "maxTextTokens": checkpoint.max_text_tokens}
    del checkpoint  # the proof needs its memory
    cosines = {
        "video": prove("video", out, args.precision, lambda path: proof.check_video(path, reference, args.precision, form.float_channels_first)),
        "text": prove("text", out, args.precision, lambda path: proof.check_text(path, reference, args.precision, sizes["maxTextTokens"])),
    }
    bundle.write_golden(out / "golden.json", reference, args.precision)
    bundle.write_manifest(
        out, {**files, "tokenizer": out / "tokenizer.json", "golden": out / "golden.json"},
        id=args.id, variant=f"{sizes['resolution']}p", description=f"{args.name} converted to {args.precision} graphs ({args.form} form).",
        **sizes, license=bundle.find_license(args.name, args.folder, out),
        source={
            "checkpoint": args.name, "revision": args.revision, "code": args.run_code, "precision": args.precision, "form": args.form,
            "pictures": f"level * {measured.scale.round(8).tolist()} + {measured.offset.round(6).tolist()}", "resize": measured.resize,
            "lowestCosine": f"video {cosines['video']:.7f}, text {cosines['text']:.7f}",
            **{package: importlib.metadata.version(package) for package in PINNED_PACKAGES},
        })


def write_graph(name: str, trace: Callable[[Path], onnx.ModelProto], precision: str, out: Path) -> dict[str, Path]:
    """Writes `name`.onnx. @returns its files by the names that model.json gives them."""
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        say(f"tracing the {name} tower")
        model = trace(Path(scratch) / "traced.onnx")
        halved = precisions.narrow(model, precision) if precision in precisions.HALF else set()
        say(f"writing {name}.onnx in {precision}")
        model.producer_name, model.producer_version = "cosmos-embed export", importlib.metadata.version("torch")
        written = weights.save(model, Path(scratch), out / f"{name}.onnx", halved, precisions.HALF.get(precision))
    onnx.checker.check_model(str(out / f"{name}.onnx"), full_check=True)
    return {f"{name}{'Data' * number}": path for number, path in enumerate(written)}


def prove(name: str, out: Path, precision: str, check: Callable[[Path], float]) -> float:
    say(f"proving {name}.onnx")
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        path = runnable(out / f"{name}.onnx", precision, Path(scratch))
        cosine = check(path)
        is_whole = not path.with_name(f"{path.name}.data").exists()
        fused = f"; ONNX Runtime fuses {proof.fusions(path, Path(scratch) / 'optimised.onnx')}" if is_whole else ""
    say(f"{name}: lowest cosine {cosine:.7f}{fused}")
    return cosine


def runnable(path: Path, precision: str, scratch: Path) -> Path:
    """The graph as ONNX Runtime can run it on a CPU, which has no bfloat16 there."""
    if precision != "bf16":
        return path
    model = onnx.load(path, load_external_data=False)
    precisions.emulate_bf16(model)
    data = path.with_name(path.name + ".data")
    if data.exists():
        os.link(data, scratch / data.name)
    onnx.save_model(model, scratch / path.name)
    return scratch / path.name


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    for name in ("--name", "--revision", "--id", "--run-code", "--precision", "--form"):
        parser.add_argument(name, required=True)
    parser.add_argument("--clips", type=int, required=True)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_grad_enabled(False)
    # Written beside the goal and renamed at the end: there is a whole and proven bundle, or none.
    unproven = args.out.with_name(f".{args.out.name}.partial-{os.getpid()}")
    unproven.mkdir(parents=True)
    try:
        convert(args, unproven)
        unproven.rename(args.out)
    except Refused as error:
        print(f"nothing was written: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(unproven, ignore_errors=True)
    say(f"done: {args.out}")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
