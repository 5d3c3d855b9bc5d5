"""Loads a checkpoint with its own code, in float32 on the CPU."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoProcessor
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from files import Refused


@dataclass
class Checkpoint:
    model: torch.nn.Module
    processor: Any
    frames: int
    resolution: int
    embedding_dim: int
    max_text_tokens: int

    def encode_video(self, clips) -> torch.Tensor:
        """uint8 [B, T, 3, R, R] → float32 [B, D], all of it the checkpoint's own doing."""
        with torch.no_grad():
            return vectors(self.model.get_video_embeddings(**self.processor(videos=clips)), "visual_proj")

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        with torch.no_grad():
            return vectors(self.model.get_text_embeddings(**self.processor(text=texts)), "text_proj")


def vectors(output: Any, name: str) -> torch.Tensor:
    found = getattr(output, name, None)
    if found is None:
        raise Refused(f"{type(output).__name__} has no `{name}`; expected the outputs of Cosmos-Embed1")
    return found.float()


def load(folder: Path) -> Checkpoint:
    """`folder`'s Python files run here: its hashes were shown and accepted before."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    model = AutoModel.from_pretrained(folder, trust_remote_code=True, torch_dtype=torch.float32).eval()
    model.requires_grad_(False)
    for name in ("get_video_embeddings", "get_text_embeddings"):
        if not callable(getattr(model, name, None)):
            raise Refused(f"{type(model).__name__} has no {name}(): this is not a checkpoint of Cosmos-Embed1's form")
    processor = load_processor(folder)
    resolution = config.resolution
    if not isinstance(resolution, int):
        height, width = resolution
        if height != width:
            raise Refused(f"config.json: resolution is {height}x{width}; only square ones can be converted")
        resolution = height
    return Checkpoint(model, processor, processor.num_video_frames, resolution, config.embed_dim, config.max_txt_len)


def load_processor(folder: Path) -> Any:
    """AutoProcessor looks for its class only in processor_config.json; published checkpoints name it in config.json."""
    name = json.loads((folder / "config.json").read_text()).get("auto_map", {}).get("AutoProcessor")
    if name is None:
        return AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    kind = get_class_from_dynamic_module(name, str(folder))
    return kind.from_pretrained(folder, trust_remote_code=True)
