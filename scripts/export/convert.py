"""Second half of the export: converts a checkpoint folder whose code was accepted to a proven bundle. Started by start.py.

It runs the checkpoint's code, so it is started without tokens, and offline.py limits its network access.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx
import torch
import transformers

import bundle
import clips as clip_sources
import int8
import offline
import precision as precisions
import preprocessing
import proof
import rounding
import weights
from checkpoint import Checkpoint, load
from files import WEIGHTS, Refused, fingerprint, is_code, list_files
from plain import float32
from folder import conversion_bytes
from space import require_disk, sentence
from steps import LOAD, STEPS, TRACE, Steps, counted, say, waiting
from towers import FORMS, Form, trace_text, trace_video
from view import make_view

PINNED_PACKAGES = ("torch", "transformers", "onnx", "onnxruntime")
MOST_ROUNDS = 3  # rounds of widening: a tensor that is kept wide may push its neighbours over the limit


@dataclass
class Tower:
    """A traced graph in float32, and how to compare it with the checkpoint."""

    name: str
    model: onnx.ModelProto
    folder: Path  # of its weights
    check: Callable[[proof.Run, str], dict[str, float]]
    large: dict[str, float]  # tensors that exceeded the range of float16


def convert(args: argparse.Namespace, out: Path, scratch: Path, hub: offline.Hub) -> None:
    form = FORMS[args.form]
    found = fingerprint(list_files(args.folder, is_code))
    if found != args.run_code:
        raise Refused(
            f"the code's fingerprint is {found}, accepted was {args.run_code}: the folder changed meanwhile"
        )
    steps = Steps(STEPS - 6)
    stored = sum(path.stat().st_size for path in args.folder.glob("*" + WEIGHTS))
    require_disk([(out, conversion_bytes(stored, args.precision), "converting")])
    steps.next("the checkpoint in its own code")
    with waiting(LOAD, stored):
        checkpoint, notes = load(make_view(args.folder, scratch / "view"), args.adapter)
    for note in notes:
        say(note)
    if hub.refused:
        say(f"note: it loaded, but {hub.explain()}")
    steps.next("asking its processor what it does to pictures and texts")
    measured = preprocessing.measure(checkpoint)
    say(
        f"pictures: level × {measured.scale.round(8).tolist()} + {measured.offset.round(6).tolist()}, off by {measured.largest_error:.1e}; "
        f"sizes: {measured.resize.told}"
    )
    cautions = [measured.resize.warning()] if measured.resize.warning() else []
    (out / "tokenizer.json").write_text(preprocessing.tokenizer_json(checkpoint))
    sources = proven_on(args, checkpoint)
    steps.next(f"asking the checkpoint for the vectors of {len(sources)} clips and {len(proof.TEXTS)} texts")
    reference = proof.ask(checkpoint, sources)
    say(
        f"the two most alike have cosine {proof.nearest(reference.video):.4f} (clips) and {proof.nearest(reference.text):.4f} (texts)"
    )
    whole = sum(4 * weight.numel() for weight in checkpoint.model.parameters())
    told = require_disk([(out, whole, "the traced graphs")])
    steps.next(f"tracing both towers; needs {told}")
    sizes = {
        "frames": checkpoint.frames,
        "resolution": checkpoint.resolution,
        "embeddingDim": checkpoint.embedding_dim,
        "maxTextTokens": checkpoint.max_text_tokens,
    }
    towers = [
        traced(
            "video",
            partial(trace_video, checkpoint, measured, form),
            scratch,
            whole,
            lambda run, precision: proof.check_video(run, reference, precision, form.float_channels_first),
        ),
        traced(
            "text",
            partial(trace_text, checkpoint, form),
            scratch,
            whole,
            lambda run, precision: proof.check_text(run, reference, precision, sizes["maxTextTokens"]),
        ),
    ]
    del checkpoint  # the proof needs its memory
    needs = sum(written_bytes(tower.model, args.precision) for tower in towers)
    told = require_disk([(out, needs, "the graphs")])
    steps.next(f"writing the graphs in {' or '.join(args.precision)} and proving them; needs {told}")
    precision, files, proofs = first_that_holds(towers, args.precision, form, out, scratch)
    steps.next("writing what is known of them")
    cautions += headroom(proofs, precision)
    for caution in cautions:
        say(f"warning: {caution}")
    bundle.write_golden(out / "golden.json", reference, precision)
    bundle.write_proof(out / "proof.json", proofs, cautions)
    bundle.write_manifest(
        out,
        {
            **files,
            "tokenizer": out / "tokenizer.json",
            "golden": out / "golden.json",
            "proof": out / "proof.json",
        },
        id=args.id,
        variant=f"{sizes['resolution']}p",
        description=f"{args.name} converted to {precision} graphs ({args.form} form).",
        **sizes,
        license=bundle.find_license(args.name, args.folder, out),
        source={
            "checkpoint": args.name,
            "revision": args.revision,
            "code": args.run_code,
            "precision": precision,
            "form": args.form,
            **({"adapter": args.adapter_name} if args.adapter else {}),
            "pictures": f"level * {measured.scale.round(8).tolist()} + {measured.offset.round(6).tolist()}",
            "resize": measured.resize.told,
            "lowestCosine": ", ".join(f"{name} {each.cosine:.7f}" for name, each in proofs.items()),
            **({"warnings": cautions} if cautions else {}),
            **{package: importlib.metadata.version(package) for package in PINNED_PACKAGES},
        },
    )


def proven_on(args: argparse.Namespace, checkpoint: Checkpoint) -> list[clip_sources.Clip]:
    frames, resolution = checkpoint.frames, checkpoint.resolution
    videos = clip_sources.find_videos(args.videos)
    decoded = [
        clip_sources.decoded(path, frames, resolution) for path in counted(videos, len(videos), "video")
    ]
    if not decoded:
        say(
            "no --videos were given, so the proof is over made clips; with videos of your own it also covers what you have"
        )
    return [
        *clip_sources.seeded(args.clips, frames, resolution),
        *clip_sources.hard(frames, resolution),
        *decoded,
    ]


def traced(name: str, trace: Callable[[Path], onnx.ModelProto], scratch: Path, size: int, check) -> Tower:
    """`size`: bytes of all weights, for an estimate."""
    folder = scratch / name
    folder.mkdir()
    with waiting(TRACE[name], size):
        return Tower(name, trace(folder / "traced.onnx"), folder, check, {})


def written_bytes(model: onnx.ModelProto, precisions_wanted: list[str]) -> int:
    """At most, of the weights of one graph in any of these precisions."""
    wide = {"fp32", "mixed"}.intersection(precisions_wanted)
    return sum(map(weights.traced_bytes, model.graph.initializer)) // (1 if wide else 2)


def first_that_holds(towers: list[Tower], wanted: list[str], form: Form, out: Path, scratch: Path):
    """Writes both graphs in the first precision that is proven. @returns it, the files by their names in model.json, the proofs."""
    for index, precision in enumerate(wanted):
        files: dict[str, Path] = {}
        proofs: dict[str, proof.Proof] = {}
        try:
            for tower in towers:
                written, proofs[tower.name] = write_and_prove(tower, precision, form, out, scratch)
                files |= {f"{tower.name}{'Data' * number}": path for number, path in enumerate(written)}
            return precision, files, proofs
        except Refused as error:
            if index == len(wanted) - 1:
                raise
            say(f"{precision} does not hold: {error}")
    raise AssertionError("no precision was wanted")


def write_and_prove(
    tower: Tower, precision: str, form: Form, out: Path, scratch: Path
) -> tuple[list[Path], proof.Proof]:
    half = precisions.HALF.get(precision)
    if half == onnx.TensorProto.FLOAT16 and (
        large := weights.too_large(tower.model, tower.folder, rounding.LARGEST[half])
    ):
        tower.large |= large
        if precision != "mixed":
            raise proof.Overflow(f"{tower.name}, weights", large)
    for attempt in range(MOST_ROUNDS):
        model = onnx.ModelProto()
        model.CopyFrom(tower.model)
        keep = set(tower.large) if precision == "mixed" else set()
        changes = rewrite(model, tower.folder, precision, keep)
        if keep:
            say(
                f"{tower.name}: {len(keep)} results of {len(set(map(rounding.layer_of, keep)))} layers and what touches them stay in 32 bits"
            )
        say(f"writing {tower.name}.onnx in {precision}")
        model.producer_name, model.producer_version = (
            "cosmos-embed export",
            importlib.metadata.version("torch"),
        )
        path = out / f"{tower.name}.onnx"
        for stale in (
            path,
            path.with_name(f"{path.name}.data"),
        ):  # left by a precision that could not be proven
            stale.unlink(missing_ok=True)
        written = weights.save(model, tower.folder, path, changes)
        onnx.checker.check_model(str(path), full_check=True)
        say(f"proving {tower.name}.onnx")
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            try:
                found = proof.prove(
                    tower.name, path, precision, Path(folder), lambda run: tower.check(run, precision)
                )
            except proof.Overflow as error:
                tower.large |= error.large
                if precision != "mixed":
                    raise
                if attempt == MOST_ROUNDS - 1:
                    raise Refused(
                        f"{tower.name}: results still pass the end of fp16 with {len(tower.large)} of them in 32 bits: use bf16"
                    ) from error
                say(f"{tower.name}: {len(error.large)} more results pass the end of fp16")
                continue
            fused = (
                ""
                if precision != "fp32" or len(written) > 1
                else f"; ONNX Runtime fuses {proof.fusions(path, Path(folder) / 'optimised.onnx')}"
            )
        say(f"{tower.name}: lowest cosine {found.cosine:.7f}{fused}")
        return written, found
    raise AssertionError("every round ends above")


def rewrite(
    model: onnx.ModelProto, folder: Path, precision: str, keep: set[str]
) -> dict[str, weights.Change]:
    """Brings a traced graph to `precision`, in place. @returns how its weights are to be stored."""
    if precision == "int8":
        return int8.quantise(model, folder)
    if precision not in precisions.HALF:
        return {}
    return weights.in_type(precisions.narrow(model, precision, keep), precisions.HALF[precision])


def headroom(proofs: dict[str, proof.Proof], precision: str) -> list[str]:
    half = precisions.HALF.get(precision)
    told = []
    for name, each in proofs.items():
        if each.largest:
            tensor, value = max(each.largest.items(), key=lambda entry: entry[1])
            say(f"{name}: the largest result in 16 bits is {value:,.4g}, in {rounding.layer_of(tensor)}")
        if half == onnx.TensorProto.FLOAT16 and rounding.overflowing(each.largest, half, rounding.HEADROOM):
            told.append(
                f"{name}: results reach {value:,.0f} in {rounding.layer_of(tensor)}, and fp16 ends at 65504; other videos may pass it, "
                "which bf16 or mixed would not mind"
            )
    return told


def describe(error: Exception, folder: Path, out: Path) -> str:
    """Describes any failure in a sentence: what went wrong and, in the checkpoint's code, where."""
    if isinstance(error, Refused):
        return str(error)
    if (
        isinstance(error, MemoryError)
        or "bad allocation" in str(error)
        or "can't allocate memory" in str(error)
    ):
        return "memory ran out; convert on a machine with more, or stop what else needs it"
    if isinstance(error, ImportError):
        return missing_package(error)
    if isinstance(error, OSError) and error.errno is not None:
        return sentence(error, out)
    if "No space left" in str(error):
        return sentence(OSError(28, "No space left on device"), out)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if (folder / Path(frame.filename).name).is_file()
    ]
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    whose = "the checkpoint's code" if frames else "converting"
    text = " ".join(str(error).split())
    return f"{whose} failed{place}: {type(error).__name__}: {text[:600]}"


def missing_package(error: ImportError) -> str:
    names = error.name or " ".join(str(error).split())
    if "transformer_engine" in str(error):
        return (
            'the checkpoint asks for transformer_engine, which needs a card: set "transformer_engine" and "use_fp8" to false in its '
            "config.json, which changes no weight"
        )
    return (
        f"the checkpoint's code needs a Python package that the exporter does not bring ({names}): install it beside the packages of "
        "scripts/export/requirements.txt into an environment of your own, and name that one's interpreter with COSMOS_EMBED_PYTHON"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    for name in ("--name", "--revision", "--id", "--run-code", "--form"):
        parser.add_argument(name, required=True)
    parser.add_argument("--precision", type=lambda text: text.split(","), required=True)
    parser.add_argument("--clips", type=int, required=True)
    parser.add_argument("--videos", type=Path, action="append", default=[])
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--adapter-name")
    parser.add_argument("--allow", action="append", default=[], help="NAME=FOLDER of another repository")
    args = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()  # its warnings are superseded by the checks below, which name what they refuse
    torch.set_grad_enabled(False)
    hub = offline.install(
        {name: Path(folder) for name, folder in (entry.split("=", 1) for entry in args.allow)}
    )
    # Written beside the destination and renamed at the end, so that there is a whole and proven bundle or none.
    unproven = args.out.with_name(f".{args.out.name}.partial-{os.getpid()}")
    try:
        unproven.mkdir(parents=True)
        # Around everything, since the checkpoint's modules take what they want of PyTorch when they are imported.
        with tempfile.TemporaryDirectory(dir=unproven) as scratch, float32():
            convert(args, unproven, Path(scratch), hub)
        unproven.rename(args.out)
    except Exception as error:
        if os.environ.get("COSMOS_EMBED_TRACEBACK"):
            traceback.print_exc()
        asked = f". Before that, {hub.explain()}" if hub.refused else ""
        print(f"nothing was written: {describe(error, args.folder, args.out)}{asked}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(unproven, ignore_errors=True)
    say(f"done: {args.out}")
    return 0
