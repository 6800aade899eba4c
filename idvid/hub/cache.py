"""The Hub library's cache on disk: what is in it, and how finished files get in.

Layout (Hugging Face documentation, "Understand caching"), below HF_HOME/hub/models--owner--name:
blobs/CHECKSUM holds a content, snapshots/COMMIT/PATH points to it, refs/REVISION names a commit,
trees/COMMIT.json lists what the commit should hold. Other users of the library share it.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from idvid.errors import HubError
from idvid.hub.patience import StoppedError
from idvid.hub.reasons import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from idvid.hub.listing import Listing, RemoteFile
    from idvid.hub.patience import Errand
    from idvid.hub.reference import ModelRef

LOCK_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class ModelCache:
    """The folder of one model in the cache. Nothing is created before something is written."""

    folder: Path

    def blob(self, file: RemoteFile) -> Path:
        """Where the content of a file belongs."""
        return self.folder / "blobs" / file.blob

    def partial(self, file: RemoteFile) -> Path:
        """Where it grows; the name is fixed, so that any later process goes on from there."""
        return self.blob(file).with_name(f"{file.blob}.incomplete")

    def snapshot(self, commit: str) -> Path:
        """The folder of a commit."""
        return self.folder / "snapshots" / commit

    def bytes_here(self, commit: str, file: RemoteFile) -> int:
        """How much of a file need not be fetched again."""
        for path in (self.snapshot(commit) / file.path, self.blob(file), self.partial(file)):
            if path.is_file():
                return min(path.stat().st_size, file.size_bytes)
        return 0

    def register(self, ref: ModelRef, listing: Listing) -> None:
        """Write down which commit a revision is, and what the commit should hold."""
        from huggingface_hub._tree_cache import TreeCacheEntry, write_tree_cache

        entries = {
            file.path: TreeCacheEntry(
                size=file.size_bytes,
                blob_id=file.git_oid,
                lfs_sha256=file.sha256,
                lfs_size=file.size_bytes if file.sha256 else None,
            )
            for file in listing.files
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        write_tree_cache(str(self.folder), listing.commit, entries)
        if ref.revision != listing.commit:
            name = self.folder / "refs" / ref.revision
            name.parent.mkdir(parents=True, exist_ok=True)
            fresh = name.with_name(f"{name.name}.{os.getpid()}.tmp")
            fresh.write_text(listing.commit)
            fresh.replace(name)

    def shows(self, commit: str, file: RemoteFile) -> bool:
        """Whether the snapshot shows a file in full."""
        pointer = self.snapshot(commit) / file.path
        return pointer.is_file() and pointer.stat().st_size == file.size_bytes

    def point(self, commit: str, file: RemoteFile) -> None:
        """Let the snapshot show a finished content."""
        if self.shows(commit, file):
            return
        pointer, blob = self.snapshot(commit) / file.path, self.blob(file)
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.unlink(missing_ok=True)  # one that points to nothing, or a damaged copy
        try:
            pointer.symlink_to(os.path.relpath(blob, pointer.parent))
        except FileExistsError:
            return  # another process was first
        except OSError:  # no links on this file system: the snapshot holds the file itself
            shutil.copyfile(blob, pointer)

    def commit_of(self, ref: ModelRef) -> str | None:
        """The commit that a revision was when it was last fetched."""
        if ref.is_pinned:
            return ref.revision
        name = self.folder / "refs" / ref.revision
        return name.read_text().strip() if name.is_file() else None

    @contextmanager
    def locked(self, file: RemoteFile, errand: Errand) -> Iterator[None]:
        """One process or thread at a time writes a content; the Hub library takes the same lock.

        Raises:
            StoppedError: If the errand was called off before the lock was free.
        """
        from huggingface_hub.utils import WeakFileLock

        lock = self.folder.parent / ".locks" / self.folder.name / f"{file.blob}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(WeakFileLock(lock, timeout=LOCK_POLL_S))
                    break
                except TimeoutError:
                    errand.say(f"{file.path} is being fetched by somebody else; we wait.")
                if errand.stop.is_set():
                    raise StoppedError
            errand.say("")
            yield


def cache_of(repo: str) -> ModelCache:
    """The folder of a model in the cache, whether it exists or not.

    Raises:
        HFValidationError: If the name is none.
    """
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    name = repo_folder_name(repo_id=repo, repo_type="model")
    return ModelCache(Path(constants.HF_HUB_CACHE).expanduser() / name)


def complete_snapshot(ref: ModelRef) -> Path | None:
    """The folder of a revision if every wanted file is in it, by the list that came with it.

    Where no list came, as with the Hub library's download of single files, files that are all asked
    for by name are enough: that library shows a file in a snapshot only once it is whole.
    """
    snapshot = _snapshot(ref)
    if snapshot is None:
        return None
    if not _has_list(ref.repo, snapshot):
        is_named = set(ref.files) == set(ref.named_files)
        return snapshot if is_named and _has_named(ref, snapshot) else None
    sizes = _listed_sizes(ref)
    if not sizes or not set(ref.named_files) <= set(sizes):
        return None
    paths = {snapshot / path: size for path, size in sizes.items()}
    is_whole = all(path.is_file() and path.stat().st_size == n for path, n in paths.items())
    return snapshot if is_whole else None


def unlisted_snapshot(ref: ModelRef) -> Path | None:
    """The folder of a revision that older tools fetched: no list says whether it is whole."""
    snapshot = _snapshot(ref)
    if snapshot is None or _has_list(ref.repo, snapshot) or not _has_named(ref, snapshot):
        return None
    present = (p for p in snapshot.rglob("*") if p.is_file())
    has_any = any(ref.wants(path.relative_to(snapshot).as_posix()) for path in present)
    return snapshot if has_any else None


def _snapshot(ref: ModelRef) -> Path | None:
    """The folder of a revision, with whatever is in it; None if the revision was never fetched."""
    cache = cache_of(ref.repo)
    commit = cache.commit_of(ref)
    return None if commit is None else cache.snapshot(commit)


def _has_list(repo: str, snapshot: Path) -> bool:
    return (cache_of(repo).folder / "trees" / f"{snapshot.name}.json").exists()


def _has_named(ref: ModelRef, snapshot: Path) -> bool:
    return all((snapshot / path).is_file() for path in ref.named_files)


def _listed_sizes(ref: ModelRef) -> dict[str, int]:
    """Bytes of each wanted file by the list in the cache; empty if there is no list."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        listed = get_cached_repo_tree(ref.repo, revision=ref.revision)
    except CachedRepoTreeNotFoundError:
        return {}
    return {file.path: file.size for file in listed if ref.wants(file.path)}


def check_space(cache: ModelCache, needed_bytes: int, repo: str) -> None:
    """Refuse a download that the disk cannot hold.

    Raises:
        HubError: If it cannot.
    """
    place = next(p for p in (cache.folder, *cache.folder.parents) if p.exists())
    free = shutil.disk_usage(place).free
    if needed_bytes > free:
        raise HubError(
            f"The model {repo} needs {size_text(needed_bytes)} more on the disk and "
            f"{size_text(free)} are free; free some space, or set HF_HOME to a folder on another disk."
        )
