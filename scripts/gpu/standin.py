"""Makes model bundles with random weights, as the exporter of this checkout makes them of the published checkpoint.

    python3 standin.py --out DIR [--depth N] [--half-softmax] [--heads-padded N]
    python3 standin.py --out DIR --variants plain,half-softmax,heads-96,half-softmax+heads-128

The second writes DIR/NAME for each and traces the towers once. Variants of attention compute the same vectors, so that their
engines can be compared: `half-softmax` has the scores in half precision too, and their factor on the queries; `heads-N` pads
heads that are narrower than N with zeros.

It runs with the packages of scripts/export/requirements.txt and with newer ones (Transformers 5), needs no network, and asks
for the stored vectors on a GPU where PyTorch has one. The same seed gives other weights there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

EXPORT = Path(__file__).resolve().parents[1] / "export"
sys.path[:0] = [str(EXPORT), str(EXPORT / "standin")]

from variant import Variant  # noqa: E402  (needs the exporter's modules)


def without_network(home: Path) -> None:
    """Gives Hugging Face's packages, which must not be imported yet, a cache that has the one file that the stand-in asks a hub for."""
    os.environ |= {
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_MODULES_CACHE": str(home / "modules"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    from offline import BERT_BASE, NO_COMMIT

    repository = home / "hub" / "models--bert-base-uncased"
    for name, content in (
        ("refs/main", NO_COMMIT),
        (f"snapshots/{NO_COMMIT}/config.json", json.dumps(BERT_BASE)),
    ):
        path = repository / name
        path.parent.mkdir(parents=True)
        path.write_text(content)


def variants(text: str) -> dict[str, Variant]:
    try:
        return {name: Variant.named(name) for name in text.split(",")}
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the bundle, or with --variants their folder")
    parser.add_argument(
        "--size", choices=("full", "tiny"), default="full", help="tiny is for trials (default: full)"
    )
    parser.add_argument("--depth", type=int, help="blocks of the vision tower (default: those of the size)")
    parser.add_argument(
        "--qformer-depth", type=int, help="layers of the Q-Former, which is the text tower too"
    )
    parser.add_argument("--precision", choices=("fp32", "fp16", "bf16"), default="bf16", help="default: bf16")
    parser.add_argument("--clips", type=int, default=3, help="clips whose vectors are stored (default: 3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--half-softmax", action="store_true", help="scores in half precision too")
    parser.add_argument("--heads-padded", type=int, metavar="N", help="pad narrower heads with zeros to N")
    parser.add_argument(
        "--variants", type=variants, help="several: plain, half-softmax, heads-N, and these joined by +"
    )
    args = parser.parse_args()
    if args.variants and (args.half_softmax or args.heads_padded):
        parser.error("--variants names what --half-softmax and --heads-padded would say")
    wanted = (
        {args.out / name: variant for name, variant in args.variants.items()}
        if args.variants
        else {args.out: Variant(args.half_softmax, args.heads_padded)}
    )
    warnings.filterwarnings("ignore")
    args.out.resolve().parent.mkdir(parents=True, exist_ok=True)
    # Beside the bundles: a traced tower may have gigabytes of weights.
    with tempfile.TemporaryDirectory(dir=args.out.resolve().parent) as folder:
        without_network(Path(folder))
        from traced import trace, write

        depths = {"vision_depth": args.depth, "text_depth": args.qformer_depth}
        changes = {name: depth for name, depth in depths.items() if depth is not None}
        traced = trace(args.size, changes, args.seed, args.clips, Path(folder))
        for out, variant in wanted.items():
            write(traced, variant, args.precision, f"standin-{args.size}-{args.precision}", out)


if __name__ == "__main__":
    main()
