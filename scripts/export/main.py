#!/usr/bin/env python3
"""Converts a Cosmos-Embed1 checkpoint to a model bundle. `cosmos-embed export` starts it; it needs only Python by itself.

    python3 main.py --checkpoint nvidia/Cosmos-Embed1-224p --out models/cosmos-embed1-224p [--precision fp16] [--run-code FINGERPRINT]

Exit codes: 0 done, 1 refused or failed (nothing written), 2 wrong usage, 3 the checkpoint's code is not accepted yet.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from environment import python_for

HERE = Path(__file__).resolve().parent
NEEDS = "it takes about 4 GB of download and 7 GB of disk (PyTorch with its CUDA libraries), and a few minutes"
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", required=True, help="hub id (owner/name) or folder")
    parser.add_argument("--out", type=Path, required=True, help="the bundle's folder; must not exist")
    parser.add_argument("--precision", choices=("fp32", "fp16", "bf16"), default="fp16")
    parser.add_argument("--revision", help="commit of a hub checkpoint, 40 hex digits (default: a known one)")
    parser.add_argument("--run-code", default="", help="fingerprint of the checkpoint's code that may run")
    parser.add_argument("--id", help="the bundle's id in model.json (default: the checkpoint's name)")
    parser.add_argument("--form", choices=("canonical", "vss", "tao"), default="canonical", help=argparse.SUPPRESS)
    parser.add_argument("--clips", type=int, default=4, help="clips to prove the conversion with, at least 2 (default: 4)")
    args = parser.parse_args()
    args.out = args.out.absolute()
    if args.out.exists():
        parser.error(f"--out {args.out} exists; expected a folder that does not")
    if args.clips < 2:
        parser.error(f"--clips is {args.clips}; expected at least 2")
    return args


def main() -> int:
    args = arguments()
    python = str(python_for(HERE / "requirements.txt", NEEDS))
    fetched = run([python, "fetch.py", "--checkpoint", args.checkpoint, "--out", str(args.out), "--precision", args.precision,
                   "--run-code", args.run_code, *(["--revision", args.revision] if args.revision else [])], stdout=subprocess.PIPE)
    if fetched.returncode != 0:
        return fetched.returncode
    found = json.loads(fetched.stdout)
    bundle_id = args.id or re.sub(r"[^\w.:/-]", "-", found["name"].rsplit("/", 1)[-1]).lower()
    with tempfile.TemporaryDirectory() as modules:
        # The process that runs the checkpoint's code has no tokens, no hub, and no code but what was listed.
        environment = {key: value for key, value in os.environ.items() if key not in SECRETS}
        environment |= {"HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1"), "HF_MODULES_CACHE": modules, "HF_TOKEN_PATH": os.devnull}
        return run([python, "convert.py", found["folder"], "--out", str(args.out), "--name", found["name"], "--revision", found["revision"],
                    "--id", bundle_id, "--run-code", args.run_code, "--precision", args.precision, "--form", args.form,
                    "--clips", str(args.clips)], env=environment).returncode


def run(command: list[str], **options) -> subprocess.CompletedProcess:
    """Runs one of the two halves. When this is stopped the half is asked to stop, and given time to clean up."""
    command = [command[0], str(HERE / command[1]), *command[2:]]
    with subprocess.Popen(command, text=True, **options) as half:
        try:
            output, _ = half.communicate()
        except BaseException:
            half.terminate()
            try:
                half.wait(timeout=20)
            except subprocess.TimeoutExpired:
                half.kill()
            raise
    return subprocess.CompletedProcess(command, half.returncode, output)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
