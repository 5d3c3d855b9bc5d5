#!/usr/bin/env python3
"""Converts a Cosmos-Embed1 checkpoint to a model bundle. `cosmos-embed export` starts it; it needs only Python by itself.

    python3 main.py nvidia/Cosmos-Embed1-224p [--out models/cosmos-embed1-224p] [--precision fp16] [--yes-run-code FINGERPRINT]

Exit codes: 0 done, 1 refused or failed (nothing written), 2 wrong usage, 3 the checkpoint's code is not accepted yet; then
stdout holds one JSON line with its fingerprint.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from environment import Expected, disk_needed, python_for
from files import Refused
from folder import check_configuration, check_weights, conversion_bytes
from pins import LIST, pinned_revision, read_pins
from space import available_memory, check_out, gigabytes, remove_stale, require_disk
from steps import Steps, say

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
PACKAGES = Expected(download=4.1e9, unpacked=7.5e9)  # PyTorch with its CUDA libraries
NEEDS = (
    f"needs {gigabytes(PACKAGES.disk)} of disk while it installs, {gigabytes(PACKAGES.unpacked)} of them for good, and "
    f"{gigabytes(PACKAGES.download)} of downloads; what is downloaded when a run is stopped stays in pip's cache"
)
HALVES = {"fetch.py": "fetching the checkpoint", "start.py": "converting it"}
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")
PRECISIONS = ("auto", "fp32", "fp16", "mixed", "bf16", "int8")
BF16_CAPABILITY = 8.0  # compute capability of the first GPUs with bfloat16


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("positional", nargs="?", metavar="CHECKPOINT", help="hub id (owner/name) or folder")
    parser.add_argument("--checkpoint", help="the same")
    parser.add_argument(
        "--out", type=Path, help="the bundle's folder (default: models/ and the checkpoint's name)"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="default: bf16 where every card computes it, else fp16, else mixed",
    )
    parser.add_argument("--revision", help="commit of a hub checkpoint, 40 hex digits (default: a known one)")
    parser.add_argument(
        "--yes-run-code", default="", help="fingerprint of the checkpoint's code that may run"
    )
    parser.add_argument(
        "--ask",
        action="store_true",
        help="where its code is not accepted yet, wait for a line on stdin: yes, or anything else",
    )
    parser.add_argument(
        "--videos",
        action="append",
        default=[],
        help="a video or a folder of videos to prove the conversion with as well",
    )
    parser.add_argument(
        "--adapter", choices=("merge", "ignore"), help="what to do with a LoRA adapter beside the weights"
    )
    parser.add_argument("--base", help="the checkpoint that an adapter alone was trained on")
    parser.add_argument("--base-revision", help="its commit")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        help="NAME@COMMIT of a hub repository whose files the checkpoint's code may ask for",
    )
    parser.add_argument(
        "--pinned", type=Path, default=LIST, help="list of known checkpoints (default: pinned.json)"
    )
    parser.add_argument("--id", help="the bundle's id in model.json (default: the checkpoint's name)")
    parser.add_argument(
        "--form", choices=("canonical", "vss", "tao"), default="canonical", help=argparse.SUPPRESS
    )
    parser.add_argument(
        "--clips",
        type=int,
        default=4,
        help="made clips to prove the conversion with, at least 2 (default: 4)",
    )
    args = parser.parse_args()
    if args.positional and args.checkpoint and args.positional != args.checkpoint:
        parser.error(f"the checkpoint is named twice: {args.positional} and {args.checkpoint}")
    args.checkpoint = args.positional or args.checkpoint
    if not args.checkpoint:
        parser.error("CHECKPOINT is missing: a hub id such as nvidia/Cosmos-Embed1-224p, or a folder")
    if args.clips < 2:
        parser.error(f"--clips is {args.clips}; expected at least 2")
    for entry in args.allow:
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?@[0-9a-f]{40}", entry):
            parser.error(
                f'--allow is "{entry}"; expected NAME@COMMIT with a commit of 40 hex digits, since a name can move'
            )
    args.out = (args.out or Path("models") / slug(args.checkpoint)).absolute()
    return args


def slug(checkpoint: str) -> str:
    name = Path(checkpoint).resolve().name if Path(checkpoint).is_dir() else checkpoint.rsplit("/", 1)[-1]
    return re.sub(r"[^\w.:/-]", "-", name).lower()


def check_early(args: argparse.Namespace, wanted: list[str]) -> None:
    """Checks all that can be checked before gigabytes of packages and weights are downloaded. Raises Refused."""
    check_out(args.out)
    pins = read_pins(args.pinned)
    local = Path(args.checkpoint)
    if local.is_dir():
        contents = check_weights(local)
        if contents.weights:
            check_configuration(local)
            needs = conversion_bytes(sum((local / name).stat().st_size for name in contents.weights), wanted)
            require_disk([*disk_needed(REQUIREMENTS, PACKAGES), (args.out, needs, "converting")])
        return
    is_name = re.fullmatch(
        r"[\w.-]+/[\w.-]+", args.checkpoint
    ) is not None and not args.checkpoint.startswith(".")
    if args.checkpoint not in pins and (not is_name or local.parent.is_dir() and str(local.parent) != "."):
        raise Refused(
            f"{args.checkpoint}: there is no such folder"
            + ("" if is_name else ", and it is not a hub id of the form owner/name")
        )
    pinned_revision(pins, args.checkpoint, args.revision)


def precisions(asked: str) -> list[str]:
    """The precisions to try, in order. By default the best for this machine's GPUs, or fp16 where there is none."""
    if asked != "auto":
        return [asked]
    return ["bf16", "fp16", "mixed"] if cards_compute_bf16() else ["fp16", "mixed"]


def cards_compute_bf16() -> bool:
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
        )
        found = [float(line) for line in listed.stdout.split()]
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and bool(found) and min(found) >= BF16_CAPABILITY


def is_done(args: argparse.Namespace, wanted: list[str]) -> bool:
    """Whether --out already holds this very conversion. A local folder's weights may have changed, so only of a hub's revision."""
    try:
        manifest = json.loads((args.out / "model.json").read_text())
        source, files = manifest["source"], manifest["files"].values()
        revision = args.revision or read_pins(args.pinned)[args.checkpoint].revision
        whole = all((args.out / file["path"]).stat().st_size == file["bytes"] for file in files)
        return (
            whole
            and source["checkpoint"] == args.checkpoint
            and source["revision"] == revision
            and source["precision"] in wanted
            and source["form"] == args.form
            and "adapter" not in source
            and (args.id or slug(args.checkpoint)) == manifest["id"]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def main() -> int:
    args = arguments()
    wanted = precisions(args.precision)
    if args.out.exists():
        if is_done(args, wanted):
            print(f"{args.out} is this conversion already; cosmos-embed verify checks it", file=sys.stderr)
            return 0
        print(f"--out {args.out} exists; expected a folder that does not", file=sys.stderr)
        return 2
    try:
        check_early(args, wanted)
    except (Refused, OSError) as error:
        print(f"nothing was written: {error}", file=sys.stderr)
        return 1
    remove_stale(args.out.parent, f".{args.out.name}.partial-")
    Steps().next("the Python packages of the exporter")
    python = str(python_for(REQUIREMENTS, NEEDS, PACKAGES))
    say(f"they are there: {python}")
    given = [
        ("--revision", args.revision),
        ("--base", args.base),
        ("--base-revision", args.base_revision),
        ("--adapter", args.adapter),
        *(("--allow", entry) for entry in args.allow),
    ]
    fetched = run(
        [
            python,
            "fetch.py",
            "--checkpoint",
            args.checkpoint,
            "--out",
            str(args.out),
            "--precision",
            ",".join(wanted),
            "--pinned",
            str(args.pinned),
            "--yes-run-code",
            args.yes_run_code,
            *(["--ask"] if args.ask else []),
            *(word for name, value in given if value is not None for word in (name, value)),
        ],
        args.out,
        stdout=subprocess.PIPE,
    )
    if fetched.returncode != 0:
        return fetched.returncode
    found = json.loads(fetched.stdout)
    with tempfile.TemporaryDirectory() as home:
        return run(
            [
                python,
                "start.py",
                found["folder"],
                "--out",
                str(args.out),
                "--name",
                found["name"],
                "--revision",
                found["revision"],
                "--id",
                args.id or slug(args.checkpoint),
                "--run-code",
                found["code"],
                "--precision",
                ",".join(wanted),
                "--form",
                args.form,
                "--clips",
                str(args.clips),
                *(word for path in args.videos for word in ("--videos", os.path.abspath(path))),
                *(
                    word
                    for name, folder in found["allowed"].items()
                    for word in ("--allow", f"{name}={folder}")
                ),
                *(
                    ("--adapter", found["adapter"], "--adapter-name", found["adapterName"])
                    if found["adapter"]
                    else ()
                ),
            ],
            args.out,
            env=closed(home),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,  # what the checkpoint's code prints is for people
        ).returncode


def closed(home: str) -> dict[str, str]:
    """The environment of the process that runs the checkpoint's code: no tokens, no card, and a cache of its own that holds nothing yet."""
    kept = {key: value for key, value in os.environ.items() if key not in (*SECRETS, "HF_ENDPOINT")}
    return {
        **kept,
        "HF_HOME": home,
        "HF_HUB_CACHE": os.path.join(home, "hub"),
        "HF_MODULES_CACHE": os.path.join(home, "modules"),
        "CUDA_VISIBLE_DEVICES": "",
        "HF_TOKEN_PATH": os.devnull,
        "HF_HUB_OFFLINE": "0",
        "TRANSFORMERS_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


def run(command: list[str], out: Path, **options) -> subprocess.CompletedProcess:
    """Runs one of the two halves. When this process is stopped, the half is asked to stop and given time to clean up."""
    command = [command[0], str(HERE / command[1]), *command[2:]]
    with subprocess.Popen(command, text=True, **options) as half:
        output = ""
        try:
            for line in half.stdout or ():
                if '"fingerprint"' in line:  # the question, for whoever started this program
                    print(line, end="", flush=True)
                else:
                    output += line
            half.wait()
        except BaseException:
            print("stopping", file=sys.stderr, flush=True)
            half.terminate()
            try:
                half.wait(timeout=20)
            except subprocess.TimeoutExpired:
                half.kill()  # it could not clean up
                half.wait()
                shutil.rmtree(out.with_name(f".{out.name}.partial-{half.pid}"), ignore_errors=True)
            raise
    if half.returncode < 0:
        left = available_memory()
        why = (
            f"probably because memory ran out ({gigabytes(left)} are available now)"
            if half.returncode == -signal.SIGKILL and left is not None
            else "which it did not expect"
        )
        print(
            f"nothing was written: {HALVES[Path(command[1]).name]} was ended by signal {-half.returncode}, {why}",
            file=sys.stderr,
        )
        shutil.rmtree(out.with_name(f".{out.name}.partial-{half.pid}"), ignore_errors=True)
        return subprocess.CompletedProcess(command, 1, "")
    return subprocess.CompletedProcess(command, half.returncode, output)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
