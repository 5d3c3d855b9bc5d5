"""Merges LoRA adapters into the weights that they were trained on."""

from __future__ import annotations

from pathlib import Path

import torch

from files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, Refused, read_json
from folder import tensor_names
from parameters import listed

KIND = "LORA"


def describe(folder: Path) -> str:
    config = read_json(folder / ADAPTER_CONFIG)
    return (
        f"{config.get('peft_type', 'an adapter')}, rank {config.get('r', 'unknown')}, "
        f"trained on {config.get('base_model_name_or_path') or 'an unnamed base'}"
    )


def merge(model: torch.nn.Module, folder: Path) -> torch.nn.Module:
    """@returns the model with the adapter merged into its weights; raises Refused when part of the adapter fits no weight."""
    from peft import PeftModel

    config = read_json(folder / ADAPTER_CONFIG)
    if config.get("peft_type") != KIND:
        raise Refused(
            f'{ADAPTER_CONFIG}: peft_type is "{config.get("peft_type")}"; only {KIND} can be merged into weights'
        )
    try:
        adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=False, torch_device="cpu")
    except (ValueError, KeyError, RuntimeError, TypeError) as error:
        raise Refused(f"the adapter does not fit the model: {str(error).splitlines()[0]}") from error
    held = tensor_names(folder / ADAPTER_WEIGHTS)
    placed = {name.replace(".default", "") for name in adapted.state_dict()}
    lost = sorted(name for name in held if name.replace(".default", "") not in placed)
    if lost:
        raise Refused(
            f"the adapter holds {listed(lost)}, which the model has no place for: it was trained on another model"
        )
    made = [name for name in placed if ".lora_" in name]
    empty = sorted(name for name in made if name not in held)
    if empty:
        raise Refused(f"{ADAPTER_WEIGHTS} lacks {listed(empty)}, which {ADAPTER_CONFIG} speaks of")
    return adapted.merge_and_unload(safe_merge=True)
