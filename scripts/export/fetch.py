"""First half of the export: finds or downloads a checkpoint, shows what code it brings, and stops until that is accepted.

Nothing of the checkpoint runs here. On success prints one JSON line: {"folder", "name", "revision"}. Started by main.py.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from files import WEIGHTS, Refused, check_names, fingerprint, list_files, table

NOT_ACCEPTED = 3


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB"


def available_memory() -> int | None:
    for line in Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else ():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def tell_needs(weight_bytes: int, precision: str, out: Path, downloads: bool) -> None:
    """Checkpoints hold 16 bits a weight; they are converted in 32."""
    disk = weight_bytes * {"fp32": 4, "fp16": 3, "bf16": 3}[precision] + weight_bytes * downloads
    memory = 4 * weight_bytes + 1e9
    place = next(parent for parent in (out, *out.parents) if parent.exists())
    free, available = shutil.disk_usage(place).free, available_memory()
    say(f"needs about {gigabytes(disk)} of disk while it works ({gigabytes(free)} free) and {gigabytes(memory)} of memory"
        + (f" ({gigabytes(available)} available)" if available is not None else ""))
    if free < disk:
        raise Refused(f"{place} has {gigabytes(free)} free; expected at least {gigabytes(disk)}")
    if available is not None and available < memory:
        say("warning: that is less than it is likely to take; it may be stopped by the system")


def fetch(args: argparse.Namespace) -> dict[str, str]:
    local = Path(args.checkpoint)
    if local.is_dir():
        folder, name, revision, repository = local.resolve(), local.resolve().name, "local folder", None
        weight_bytes = sum(path.stat().st_size for path in folder.glob("*" + WEIGHTS))
    elif args.checkpoint.count("/") == 1 and not args.checkpoint.startswith((".", "/")):
        from hub import Repository, pinned_revision

        name, revision = args.checkpoint, pinned_revision(args.checkpoint, args.revision)
        say(f"{name} at {revision}: code and configuration")
        repository = Repository(name, revision)
        folder, weight_bytes = repository.download(weights=False), repository.weight_bytes()
    else:
        raise Refused(f"--checkpoint {args.checkpoint}: no such folder, and not an id of the form owner/name")
    if not (folder / "config.json").is_file():
        raise Refused(f"{folder} has no config.json; expected a checkpoint in Hugging Face's layout")
    if weight_bytes == 0:
        raise Refused(f"{folder} has no *{WEIGHTS} file; other formats run code when they are opened, and are not read")
    check_names(folder)

    files = list_files(folder)
    code = [file for file in files if file.name.endswith(".py")]
    say(f"{name}, {revision}. SHA-256, bytes, name:\n{table(files)}")
    accepted = fingerprint(files)
    if args.run_code != accepted:
        if args.run_code:
            say(f"--run-code {args.run_code} accepts other code than this")
        say(f"converting runs the {len(code)} Python files above on this machine. If you trust them, run again with --run-code {accepted}")
        sys.exit(NOT_ACCEPTED)
    tell_needs(weight_bytes, args.precision, Path(args.out).absolute(), repository is not None)
    if repository is not None:
        say(f"{name}: weights, {gigabytes(weight_bytes)}")
        repository.download(weights=True)
    return {"folder": str(folder), "name": name, "revision": revision}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for option in ("--checkpoint", "--out", "--precision"):
        parser.add_argument(option, required=True)
    parser.add_argument("--revision")
    parser.add_argument("--run-code", default="")
    try:
        print(json.dumps(fetch(parser.parse_args())))
    except Refused as error:
        say(f"nothing was written: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
