"""Writes a stand-in checkpoint: the folder that a download of Cosmos-Embed1 would be, with random weights.

python make.py --size tiny --out DIR        0.2 MB, for tests
python make.py --size full --out DIR        the published sizes, 2.4 GB, for measuring speed and memory
"""

from __future__ import annotations

import argparse
import json
import shutil
import string
import sys
from pathlib import Path

import torch
from transformers import BertTokenizerFast, PretrainedConfig

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import offline  # noqa: E402  (beside this folder)

CODE = ("configuration_standin.py", "modeling_standin.py", "processing_standin.py")
WORDS = """a an and the of on in to is it at from with video clip red green blue yellow white black car dog cat ball circle
square person people man woman street road left right up down moving turning walking running playing standing""".split()

SIZES = {
    "tiny": dict(
        embed_dim=16,
        resolution=28,
        vision_width=24,
        vision_depth=2,
        vision_heads=2,
        vision_hidden=32,
        num_query_tokens=4,
        text_width=24,
        text_depth=2,
        text_heads=2,
        text_hidden=32,
        max_positions=128,
    ),
    "full": {},
}


def vocabulary(size: int | None) -> list[str]:
    """A WordPiece vocabulary that can spell any lower-case ASCII text; filled up to `size` as BERT's is."""
    signs = [c for c in map(chr, range(33, 127)) if c not in string.ascii_uppercase]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *signs]
    tokens += [f"##{c}" for c in string.ascii_lowercase + string.digits]
    tokens += [word for word in WORDS if len(word) > 1] + ["##ing", "##ed", "##er"]
    if size is not None:
        tokens += [f"[unused{index}]" for index in range(size - 1 - len(tokens))]
    return [*tokens, "[DEC]"]


def package():
    """The checkpoint's code as a package, so that its relative imports work here as they do when loaded by name."""
    import importlib

    return tuple(importlib.import_module(f"standin.{name[:-3]}") for name in CODE)


@torch.no_grad()
def sharpen(model) -> None:
    """Makes the queries choose: attention with random weights is an average, and one clip's is much like another's."""
    for layer in model.qformer.layers:
        if layer.crossattention is not None:
            for part in (layer.crossattention.query, layer.crossattention.value, layer.crossattention.dense):
                part.weight.mul_(3)


def configured(size: str, **changes: int) -> tuple[PretrainedConfig, list[str]]:
    """@returns the configuration of a size, with `changes`, and its vocabulary."""
    configuration, _, _ = package()
    config = configuration.StandinConfig(**{**SIZES[size], **changes})
    tokens = vocabulary(None if size == "tiny" else config.vocab_size)
    config.vocab_size = len(tokens)
    config.auto_map = {
        "AutoConfig": "configuration_standin.StandinConfig",
        "AutoModel": "modeling_standin.StandinModel",
    }
    return config, tokens


def random_model(config: PretrainedConfig, seed: int) -> torch.nn.Module:
    """In float32, on the default device. It asks for BERT's configuration by name."""
    _, modeling, _ = package()
    torch.manual_seed(seed)
    model = modeling.StandinModel(config).eval()
    sharpen(model)
    return model


def make(size: str, out: Path, seed: int = 0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)) -> None:
    out.mkdir(parents=True, exist_ok=True)
    config, tokens = configured(size)
    offline.install({})  # so that making one needs no network either
    model = random_model(config, seed)
    if size == "full":
        model.bfloat16()  # as the published weights are stored
    model.save_pretrained(out)
    write_processor(config, tokens, out, mean, std)
    (out / "README.md").write_text(
        "---\nlicense: apache-2.0\n---\nRandom weights: the vectors mean nothing.\n"
    )


def write_processor(
    config: PretrainedConfig, tokens: list[str], out: Path, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
) -> None:
    """Everything of a checkpoint that is neither weights nor words about them."""
    (out / "vocab.txt").write_text("\n".join(tokens) + "\n")
    tokenizer = BertTokenizerFast(
        str(out / "vocab.txt"),
        do_lower_case=True,
        model_max_length=config.max_txt_len,
        additional_special_tokens=["[DEC]"],
    )
    tokenizer.save_pretrained(out)
    (out / "processor_config.json").write_text(
        json.dumps(
            {
                "auto_map": {"AutoProcessor": "processing_standin.StandinProcessor"},
                "processor_class": "StandinProcessor",
                "resolution": config.resolution,
                "num_video_frames": config.num_video_frames,
                "max_txt_len": config.max_txt_len,
                "mean": mean,
                "std": std,
            },
            indent=2,
        )
        + "\n"
    )
    for name in CODE:
        shutil.copyfile(HERE / name, out / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    make(args.size, args.out, args.seed)
    print(f"stand-in checkpoint ({args.size}) in {args.out}")


if __name__ == "__main__":
    main()
