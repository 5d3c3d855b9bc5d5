"""Stops the export unless every weight of the model comes from the files and every weight of the files enters the model.

A weight that is missing is filled with random numbers by the library that loads it: the graphs would faithfully give
the vectors of an untrained model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch

from files import Refused

# No vector depends on these, so they may be missing, and they may be unused.
MAY_DIFFER = {
    r"(^|\.)position_ids$": "the numbers 0, 1, 2 …, which the code makes itself",
    r"(^|\.)relative_position_index$": "a table of differences, which the code makes itself",
    r"(^|\.)cls\.predictions\.": "BERT's head that predicts words",
    r"(^|\.)logit_(scale|bias)$": "they scale similarities, not vectors",
}
ADAPTERS = re.compile(
    r"(^|\.)(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector|base_layer|modules_to_save|base_model\.model)(\.|$)"
)
SHOWN = 8


def differs_harmlessly(name: str) -> bool:
    return any(re.search(pattern, name) for pattern in MAY_DIFFER)


def check(missing: Iterable[str], unexpected: Iterable[str]) -> list[str]:
    """@returns the harmless names, for the log. Raises Refused for any other."""
    missing, unexpected = sorted(set(missing)), sorted(set(unexpected))
    wrong_missing = [name for name in missing if not differs_harmlessly(name)]
    wrong_unexpected = [name for name in unexpected if not differs_harmlessly(name)]
    if any(ADAPTERS.search(name) for name in wrong_unexpected):
        raise Refused(
            f"the weights hold an adapter that was not merged into them ({listed(wrong_unexpected)}), and how strong it is is not "
            "written there: merge it with peft's merge_and_unload() before saving, or give its adapter_config.json and "
            "adapter_model.safetensors beside the base's weights"
        )
    told = []
    if wrong_missing:
        told.append(f"the weights lack {listed(wrong_missing)}, which would be random numbers")
    if wrong_unexpected:
        told.append(
            f"the weights hold {listed(wrong_unexpected)}, which the checkpoint's code has no place for"
        )
    if told:
        raise Refused("; ".join(told) + ": the code and the weights are of different checkpoints")
    return missing + unexpected


def listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def check_values(model: torch.nn.Module) -> None:
    """Raises Refused for a weight that was never filled or holds NaN or infinity."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise Refused(
                f"{name} was never filled: the checkpoint's code makes it in a way that the loader does not know"
            )
        if (
            tensor.is_floating_point()
            and not bool(torch.isfinite(tensor).all())
            and not differs_harmlessly(name)
        ):
            raise Refused(f"{name} holds infinities or NaN")
