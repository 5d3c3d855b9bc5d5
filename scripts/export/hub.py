"""Downloads a checkpoint from the Hugging Face hub at one revision, and proves that what arrived is what the hub lists.

Honours HF_ENDPOINT, HF_HOME, HF_TOKEN and the proxy variables, as huggingface_hub does.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

# Set before the import that reads them. Plain HTTP can resume an interrupted download; the hub's newer protocol cannot.
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from files import WEIGHTS, File, Refused, is_code, is_wanted, sha256
from space import sentence
from steps import counter, watched


constants.DOWNLOAD_CHUNK_SIZE = 1 << 20  # at most this much is lost when a connection breaks


def cache() -> Path:
    return Path(constants.HF_HUB_CACHE)


def is_weights(name: str) -> bool:
    return name.endswith(WEIGHTS)


class Repository:
    """One revision of one repository."""

    def __init__(self, name: str, revision: str):
        self.name, self.revision = name, revision
        try:
            info = HfApi().model_info(name, revision=revision, files_metadata=True)
        except GatedRepoError as error:
            raise Refused(f"{name}: access must be asked for on its page; then set HF_TOKEN") from error
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise Refused(
                f"{name} at {revision}: the hub has no such repository or revision, or HF_TOKEN may not read it"
            ) from error
        except (HfHubHTTPError, OSError) as error:
            raise Refused(f"{name}: the hub did not answer: {error}") from error
        except ValueError as error:
            raise Refused(f"{name} is no name of a repository: {error}") from error
        if info.sha != revision:
            raise Refused(f"{name}: asked for revision {revision}, the hub answered with {info.sha}")
        self.entries = {entry.rfilename: entry for entry in info.siblings if is_wanted(entry.rfilename)}

    def names(self, choose: Callable[[str], bool]) -> list[str]:
        return sorted(name for name in self.entries if choose(name))

    def listed_weights(self) -> list[File]:
        """The hub's metadata of the weights, read before they are downloaded."""
        return [
            File(name, self.entries[name].size or 0, self.entries[name].lfs.sha256)
            for name in self.names(is_weights)
            if self.entries[name].lfs is not None
        ]

    def bytes(self, choose: Callable[[str], bool]) -> int:
        return sum(self.entries[name].size or 0 for name in self.names(choose))

    def bytes_here(self, choose: Callable[[str], bool]) -> int:
        """Bytes of those files that are in the cache already, whole or in part."""
        blobs = cache() / f"models--{self.name.replace('/', '--')}" / "blobs"
        total = 0
        for name in self.names(choose):
            entry = self.entries[name]
            blob = blobs / (entry.lfs.sha256 if entry.lfs is not None else entry.blob_id)
            for path in (blob, *blobs.glob(f"{blob.name}*.incomplete")):
                try:
                    total += path.stat().st_size
                    break
                except OSError:
                    pass  # not there, or renamed this moment
        return total

    def download(self, choose: Callable[[str], bool], what: str) -> Path:
        """Downloads what is missing and resumes what was interrupted. @returns the folder, the same for every choice."""
        names = self.names(choose)
        if not names:
            raise Refused(f"{self.name} at {self.revision}: no {what} in it")
        try:
            with watched(lambda: self.bytes_here(choose), self.bytes(choose), f"{self.name}, {what}"):
                folder = Path(snapshot_download(self.name, revision=self.revision, allow_patterns=names))
        except OSError as error:
            if error.errno is not None:
                raise Refused(f"{self.name}: {sentence(error, cache())}; run again to continue") from error
            raise Refused(
                f"{self.name}: the download broke off: {error}; run again to continue it"
            ) from error
        except HfHubHTTPError as error:
            raise Refused(
                f"{self.name}: the download broke off: {error}; run again to continue it"
            ) from error
        with counter(self.bytes(choose), f"{self.name}, comparing the {what} with the hub's hashes") as seen:
            for name in names:
                self._check(folder / name, seen)
        return folder

    def _check(self, path: Path, seen: Callable[[int], None]) -> None:
        entry = self.entries[path.name]
        if entry.lfs is not None:
            wanted, found = entry.lfs.sha256, sha256(path, seen)
        else:
            data = path.read_bytes()
            wanted, found = entry.blob_id, hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        if wanted != found:
            raise Refused(
                f"{path.name}: the hub lists {wanted}, what arrived is {found}; delete {path.resolve()} and run again"
            )


def fetch_allowed(entry: str) -> tuple[str, Path]:
    """A repository that the checkpoint's code may ask for: "NAME@COMMIT". Its configuration, tokenizer and weights, no code."""
    name, _, commit = entry.partition("@")
    folder = Repository(name, commit).download(lambda each: not is_code(each), "files")
    return name, folder
