"""First half of the export: finds or downloads a checkpoint, shows what code it brings, and stops until that is accepted.

Nothing of the checkpoint runs here. On success prints one JSON line that convert.py's options are made of; where the code is
not accepted yet, one with its fingerprint. Started by main.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import hub
from files import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    WEIGHTS,
    Refused,
    fingerprint,
    is_code,
    list_files,
    read_json,
    table,
    wanted_files,
)
from folder import INDEX, Contents, check_configuration, check_weights, conversion_bytes, shards_of
from pins import LIST, Pin, check_pinned, is_pinned_code, pinned_revision, read_pins
from space import available_memory, gigabytes, require_disk, sentence
from steps import Steps, counter, say

NOT_ACCEPTED = 3


@dataclass
class Source:
    """A checkpoint's folder; of a hub's one, only the small files are there at first."""

    name: str
    revision: str
    folder: Path
    contents: Contents
    weight_bytes: int
    repository: hub.Repository | None = None


def open_source(checkpoint: str, asked: str | None, pins: dict[str, Pin]) -> Source:
    local = Path(checkpoint)
    if local.is_dir():
        folder = local.resolve()
        return Source(
            folder.name,
            "local folder",
            folder,
            check_weights(folder),
            sum(path.stat().st_size for path in folder.glob("*" + WEIGHTS)),
        )
    revision = pinned_revision(pins, checkpoint, asked)
    say(f"{checkpoint} at {revision}: code and configuration")
    repository = hub.Repository(checkpoint, revision)
    names = repository.names(hub.is_weights)
    if not names:
        raise Refused(
            f"{checkpoint} at {revision} has no *{WEIGHTS} file; other formats run code when they are opened, and are not read"
        )
    check_pinned(pins, checkpoint, revision, repository.listed_weights())
    folder = repository.download(lambda name: not hub.is_weights(name), "code and configuration")
    contents = Contents([name for name in names if name != ADAPTER_WEIGHTS], ADAPTER_WEIGHTS in names)
    if (folder / INDEX).is_file():
        missing = [name for name in shards_of(folder / INDEX) if name not in names]
        if missing:
            raise Refused(f"{checkpoint} at {revision} lacks {', '.join(missing)}, which its {INDEX} names")
    return Source(checkpoint, revision, folder, contents, repository.bytes(hub.is_weights), repository)


def with_base(source: Source, args: argparse.Namespace, pins: dict[str, Pin]) -> tuple[Source, Source | None]:
    """@returns whose code and weights are converted, and whose adapter is merged into them."""
    if not source.contents.adapter:
        if args.adapter == "merge":
            raise Refused(f"--adapter merge: {source.name} has no {ADAPTER_CONFIG}")
        return source, None
    if source.contents.weights:
        if args.adapter is None:
            raise Refused(
                f"{source.name} has an adapter beside whole weights, and the vectors with and without it are others: say --adapter merge "
                "if the weights are those that it was trained on, or --adapter ignore if they are to be converted as they are"
            )
        return source, source if args.adapter == "merge" else None
    base = args.base or read_json(source.folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not base or not (args.base or base in pins):
        raise Refused(
            f"{source.name} is only an adapter, trained on {base or 'an unnamed checkpoint'}: name the checkpoint with --base, "
            "a hub id or a folder"
        )
    say(f"{source.name} is an adapter of {base}")
    found = open_source(base, None if base in pins else args.base_revision, pins)
    if not found.contents.weights:
        raise Refused(f"--base {base} has no whole weights")
    return found, source


def tell_needs(weight_bytes: int, args: argparse.Namespace, downloads: list[hub.Repository]) -> None:
    """Says what the rest takes. Raises Refused when a disk has not that much."""
    disk = conversion_bytes(weight_bytes, args.precision.split(","))
    needs = [(Path(args.out).absolute(), disk, "converting")]
    for repository in downloads:
        left = repository.bytes(hub.is_weights) - repository.bytes_here(hub.is_weights)
        needs.append((hub.cache(), max(left, 0), f"downloading {repository.name}"))
    told = require_disk(needs)
    memory, available = 4 * weight_bytes + 1e9, available_memory()
    say(
        f"needs about {told}, and {gigabytes(memory)} of memory"
        + (f" ({gigabytes(available)} available)" if available is not None else "")
    )
    if available is not None and available < memory:
        say("warning: that is less memory than it is likely to take; the system may stop it")


def accepted(args: argparse.Namespace, found: str, count: int) -> bool:
    """Asks whether the code may run. The answer is a line on stdin; where nobody can give one, it is no."""
    if args.yes_run_code:
        say(f"--yes-run-code {args.yes_run_code} accepts other code than this")
    what = f"converting runs the {count} Python files above on this machine"
    say(what if args.ask else f"{what}. If you trust them, run again with --yes-run-code {found}")
    print(json.dumps({"fingerprint": found, "files": count}), flush=True)
    if not args.ask:
        return False
    answer = sys.stdin.readline().strip()
    say(
        f"accepted; --yes-run-code {found} accepts the same code"
        if answer == "yes"
        else "nothing was written: not accepted"
    )
    return answer == "yes"


def fetch(args: argparse.Namespace) -> int:
    pins = read_pins(args.pinned)
    steps = Steps(1)
    steps.next("code and configuration of the checkpoint, and their hashes")
    source = open_source(args.checkpoint, args.revision, pins)
    base, adapted = with_base(source, args, pins)
    check_configuration(base.folder)
    with counter(sum(path.stat().st_size for path in wanted_files(base.folder)), "hashing") as seen:
        files = list_files(base.folder, seen=seen)
    check_pinned(pins, base.name, base.revision, files)
    say(f"{base.name}, {base.revision}. SHA-256, bytes, name:\n{table(files)}")
    found, known = fingerprint(files), is_pinned_code(pins, files)
    if known:
        say(f"the Python files are, byte for byte, those that {args.pinned.name} lists")
    elif args.yes_run_code != found and not accepted(args, found, sum(is_code(file.name) for file in files)):
        return NOT_ACCEPTED
    steps.next("weights")
    sources = [base] if adapted in (None, base) else [base, adapted]
    tell_needs(base.weight_bytes, args, [each.repository for each in sources if each.repository is not None])
    for each in sources:
        if each.repository is None:
            say(f"{each.name}: {gigabytes(each.weight_bytes)}, already in {each.folder}")
            continue
        here = each.repository.bytes_here(hub.is_weights)
        say(
            f"{each.name}: {gigabytes(each.weight_bytes)}"
            + (f", of which {gigabytes(here)} are already here" if here else "")
        )
        each.repository.download(hub.is_weights, "weights")
        check_weights(each.folder)
    allowed = dict(hub.fetch_allowed(entry) for entry in args.allow)
    print(
        json.dumps(
            {
                "folder": str(base.folder),
                "name": source.name,
                "revision": source.revision,
                "code": found,
                "adapter": None if adapted is None else str(adapted.folder),
                "adapterName": f"merged into {base.name} at {base.revision}",
                "allowed": {name: str(folder) for name, folder in allowed.items()},
            }
        )
    )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for option in ("--checkpoint", "--out", "--precision"):
        parser.add_argument(option, required=True)
    for option in ("--revision", "--base", "--base-revision", "--adapter"):
        parser.add_argument(option)
    parser.add_argument("--allow", action="append", default=[])
    parser.add_argument("--pinned", type=Path, default=LIST)
    parser.add_argument("--yes-run-code", default="")
    parser.add_argument("--ask", action="store_true")
    try:
        return fetch(parser.parse_args())
    except Refused as error:
        say(f"nothing was written: {error}")
    except OSError as error:
        say(f"nothing was written: {sentence(error, hub.cache())}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
