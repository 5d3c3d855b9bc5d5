"""Traces the stand-in, and writes bundles of it without the exporter's proof: verify holds their engines against its vectors."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch

import bundle
import clips as clip_sources
import preprocessing
import proof
import weights
from checkpoint import Checkpoint, load_processor, vectors
from make import configured, random_model, write_processor
from steps import say
from towers import FORMS, trace_text, trace_video
from variant import Variant, rewrite


@dataclass
class Traced:
    """Both towers in float32, and what the checkpoint answers."""

    graphs: dict[str, tuple[onnx.ModelProto, Path]]  # and the folder of its weights
    tokenizer: str
    reference: proof.Reference
    sizes: dict[str, int]


class OnDevice(Checkpoint):
    """Computes where its weights are, and answers on the CPU."""

    def encode_video(self, clips: Any) -> torch.Tensor:
        output = self.model.get_video_embeddings(**self.there(self.processor(videos=clips)))
        return vectors(output, "visual_proj").cpu()

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        output = self.model.get_text_embeddings(**self.there(self.processor(text=texts)))
        return vectors(output, "text_proj").cpu()

    def there(self, features: Any) -> dict[str, torch.Tensor]:
        device = next(self.model.parameters()).device
        return {name: torch.as_tensor(value).to(device) for name, value in features.items()}


@torch.no_grad()
def trace(size: str, changes: dict[str, int], seed: int, clips: int, scratch: Path) -> Traced:
    """The weights never become a checkpoint's files. @param changes: of the size's configuration."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # The stored vectors are what engines are held against.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    config, tokens = configured(size, **changes)
    # Only while the weights are made: with a GPU as the default device, tracing ends in a crash of PyTorch.
    with torch.device(device) if device == "cuda" else nullcontext():
        model = random_model(config, seed)
    if size == "full":
        model.bfloat16()  # as the published weights are stored
    model = model.float().eval()
    say(f"{sum(each.numel() for each in model.parameters()) / 1e6:.1f} M weights on {device}")
    folder = scratch / "checkpoint"
    folder.mkdir()
    config.save_pretrained(folder)
    write_processor(config, tokens, folder)
    processor = load_processor(folder)
    checkpoint = OnDevice(
        model,
        processor,
        processor.num_video_frames,
        config.resolution,
        config.embed_dim,
        config.max_txt_len,
    )
    measured = preprocessing.measure(checkpoint)
    reference = proof.ask(checkpoint, clip_sources.seeded(clips, checkpoint.frames, checkpoint.resolution))
    say("the checkpoint has answered")
    model.cpu()
    form = FORMS["canonical"]
    graphs = {}
    for name in ("video", "text"):
        place = scratch / name
        place.mkdir()
        path = place / "traced.onnx"
        graph = (
            trace_video(checkpoint, measured, form, path)
            if name == "video"
            else trace_text(checkpoint, form, path)
        )
        graphs[name] = graph, place
        say(f"traced {name}")
    sizes = {
        "frames": checkpoint.frames,
        "resolution": checkpoint.resolution,
        "embeddingDim": checkpoint.embedding_dim,
        "maxTextTokens": checkpoint.max_text_tokens,
    }
    return Traced(graphs, preprocessing.tokenizer_json(checkpoint), reference, sizes)


def write(traced: Traced, variant: Variant, precision: str, name: str, out: Path) -> None:
    """Writes one bundle, in place of another. First beside it, so that there is a whole one or none."""
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        files = {"tokenizer": partial / "tokenizer.json", "golden": partial / "golden.json"}
        for tower, (graph, folder) in traced.graphs.items():
            model = onnx.ModelProto()
            model.CopyFrom(graph)
            changes, told = rewrite(model, folder, variant, precision)
            path = partial / f"{tower}.onnx"
            written = weights.save(model, folder, path, changes)
            files |= {f"{tower}{'Data' * number}": each for number, each in enumerate(written)}
            onnx.checker.check_model(str(path), full_check=True)
            say(f"{out.name}, {tower}: {told}")
        files["tokenizer"].write_text(traced.tokenizer)
        bundle.write_golden(files["golden"], traced.reference, precision)
        bundle.write_manifest(
            partial,
            files,
            id=name,
            variant=f"{traced.sizes['resolution']}p",
            description="Random weights: the vectors mean nothing.",
            **traced.sizes,
            license={"name": "Apache-2.0"},
            source={
                "precision": precision,
                "form": "canonical",
                **{package: importlib.metadata.version(package) for package in ("torch", "transformers")},
            },
        )
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"{out}: {sum(path.stat().st_size for path in out.iterdir()) / 1e9:.2f} GB")
