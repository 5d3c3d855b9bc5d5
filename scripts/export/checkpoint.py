"""Loads a checkpoint with its own code, in float32 on the CPU."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoProcessor, dynamic_module_utils
from transformers.dynamic_module_utils import get_class_from_dynamic_module

import adapter as adapters
import parameters
from files import Refused, read_json


@dataclass
class Checkpoint:
    model: torch.nn.Module
    processor: Any
    frames: int
    resolution: int
    embedding_dim: int
    max_text_tokens: int

    def encode_video(self, clips) -> torch.Tensor:
        """uint8 [B, T, 3, H, W] → float32 [B, D], by the checkpoint's own code alone."""
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


def load(folder: Path, adapter: Path | None = None) -> tuple[Checkpoint, list[str]]:
    """`folder`'s Python files run here: its hashes were shown and accepted before. @returns it, and notes for the log."""
    place_modules(folder)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    model, notes = load_model(folder, config)
    if adapter is not None:
        notes.append(f"merging the adapter: {adapters.describe(adapter)}")
        model = adapters.merge(model, adapter)
    model = model.float().eval()
    model.requires_grad_(False)
    parameters.check_values(model)
    for name in ("get_video_embeddings", "get_text_embeddings"):
        if not callable(getattr(model, name, None)):
            raise Refused(
                f"{type(model).__name__} has no {name}(): this is not a checkpoint of Cosmos-Embed1's form"
            )
    processor = load_processor(folder)
    resolution = config.resolution
    if not isinstance(resolution, int):
        height, width = resolution
        if height != width:
            raise Refused(f"config.json: resolution is {height}x{width}; only square ones can be converted")
        resolution = height
    return Checkpoint(
        model, processor, processor.num_video_frames, resolution, config.embed_dim, config.max_txt_len
    ), notes


def place_modules(folder: Path) -> None:
    """Puts all of the folder's modules where the loader imports them from: by itself it takes a module and what that one imports, and
    not what those import in turn."""
    package = Path(dynamic_module_utils.TRANSFORMERS_DYNAMIC_MODULE_NAME) / folder.name
    dynamic_module_utils.create_dynamic_module(package)
    for path in folder.glob("*.py"):
        if path.name != "__init__.py":
            shutil.copyfile(path, Path(dynamic_module_utils.HF_MODULES_CACHE) / package / path.name)


def load_model(folder: Path, config: Any) -> tuple[torch.nn.Module, list[str]]:
    name = read_json(folder / "config.json").get("auto_map", {}).get("AutoModel")
    if name is None:
        raise Refused('config.json: auto_map has no "AutoModel", the class that holds the weights')
    kind = get_class_from_dynamic_module(name, str(folder))
    # A class may suppress reports of missing weights. Which may be missing is decided here, by name.
    kind._keys_to_ignore_on_load_missing = kind._keys_to_ignore_on_load_unexpected = None
    torch.manual_seed(0)
    model, info = kind.from_pretrained(
        folder,
        config=config,
        torch_dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )  # they are reported below, by name
    if info["mismatched_keys"]:
        shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
        names = sorted(entry if isinstance(entry, str) else entry[0] for entry in info["mismatched_keys"])
        raise Refused(
            "config.json and the weights disagree about the shape of "
            + parameters.listed([f"{name} ({shapes.get(name)} by config.json)" for name in names])
        )
    harmless = parameters.check(info["missing_keys"], info["unexpected_keys"])
    notes = [f"differs without effect on the vectors: {parameters.listed(harmless)}"] if harmless else []
    return model, notes


def load_processor(folder: Path) -> Any:
    """By the class that processor_config.json names, or config.json where it names none."""
    for file in ("processor_config.json", "config.json"):
        name = read_json(folder / file).get("auto_map", {}).get("AutoProcessor")
        if name is not None:
            return get_class_from_dynamic_module(name, str(folder)).from_pretrained(
                folder, trust_remote_code=True
            )
    return AutoProcessor.from_pretrained(folder, trust_remote_code=True)
