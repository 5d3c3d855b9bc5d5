"""Downloads a checkpoint from the Hugging Face hub at one revision, and proves that what arrived is what the hub lists.

Honours HF_ENDPOINT, HF_HOME, HF_TOKEN and the proxy variables, as huggingface_hub does.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from files import WEIGHTS, Refused, is_wanted, sha256

# Revisions that two of NVIDIA's own projects pin, so that a first conversion is of a known state.
PINNED = {
    "nvidia/Cosmos-Embed1-224p": "787e0b996f5260a71ad474a283c90539a2e12986",
    "nvidia/Cosmos-Embed1-336p": "0e8a28f7bf370f2dcb3b9b61d23e167d0d6b0e6f",
    "nvidia/Cosmos-Embed1-448p": "f60ec73636eb7c9cc25267367713b7b1b0cffaf3",
}


def pinned_revision(repository: str, asked: str | None) -> str:
    """A full commit id: a branch or a tag may mean other code tomorrow."""
    revision = asked or PINNED.get(repository)
    if revision is None:
        raise Refused(f"{repository}: no revision is known for it; give one with --revision (40 hex digits)")
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise Refused(f'--revision is "{revision}"; expected a commit of 40 hex digits, since a name can move')
    return revision


class Repository:
    """One revision of one repository."""

    def __init__(self, name: str, revision: str):
        self.name, self.revision = name, revision
        try:
            info = HfApi().model_info(name, revision=revision, files_metadata=True)
        except GatedRepoError as error:
            raise Refused(f"{name}: access must be asked for on its page; then set HF_TOKEN") from error
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise Refused(f"{name} at {revision}: the hub has no such repository or revision, or HF_TOKEN may not read it") from error
        except (HfHubHTTPError, OSError) as error:
            raise Refused(f"{name}: the hub did not answer: {error}") from error
        if info.sha != revision:
            raise Refused(f"{name}: asked for revision {revision}, the hub answered with {info.sha}")
        self.entries = {entry.rfilename: entry for entry in info.siblings if is_wanted(entry.rfilename)}

    def weight_bytes(self) -> int:
        return sum(entry.size or 0 for name, entry in self.entries.items() if name.endswith(WEIGHTS))

    def download(self, weights: bool) -> Path:
        """Everything but the weights, or the weights. @returns the folder, the same for both."""
        names = sorted(name for name in self.entries if name.endswith(WEIGHTS) == weights)
        if not names:
            raise Refused(f"{self.name} at {self.revision}: no {'*' + WEIGHTS if weights else 'code or configuration'} in it")
        try:
            folder = Path(snapshot_download(self.name, revision=self.revision, allow_patterns=names))
        except (HfHubHTTPError, OSError) as error:
            raise Refused(f"{self.name}: the download broke off: {error}; run again to continue it") from error
        for name in names:
            self._check(folder / name)
        return folder

    def _check(self, path: Path) -> None:
        entry = self.entries[path.name]
        if entry.lfs is not None:
            wanted, found = entry.lfs.sha256, sha256(path)
        else:
            data = path.read_bytes()
            wanted, found = entry.blob_id, hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        if wanted != found:
            raise Refused(f"{path.name}: the hub lists {wanted}, what arrived is {found}; delete {path.resolve()} and run again")
