"""A folder that looks like the checkpoint's, with only what was shown and accepted, and with its classes named locally."""

from __future__ import annotations

import json
from pathlib import Path

from files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, is_wanted, local_classes, read_json


def make_view(folder: Path, view: Path) -> Path:
    """Links, but for the configurations that name classes. Adapter files stay out: the loader would take them by itself."""
    view.mkdir()
    for path in sorted(folder.iterdir()):
        if not path.is_file() or not is_wanted(path.name) or path.name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
            continue
        if path.name.endswith("_config.json") or path.name == "config.json":
            content = local_classes(read_json(path), folder, path.name)
            (view / path.name).write_text(json.dumps(content, indent=2, ensure_ascii=False))
        else:
            (view / path.name).symlink_to(path.resolve())
    return view
