"""A whole model: looked up in the cache, else fetched, several files at a time, with progress."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from idvid.errors import HubError
from idvid.hub.cache import (
    ModelCache,
    cache_of,
    check_space,
    complete_snapshot,
    listed_sizes,
    unlisted_snapshot,
)
from idvid.hub.listing import Listing, ModelFacts, RemoteFile, ask, wanted
from idvid.hub.patience import Errand, Patience
from idvid.hub.reasons import reason
from idvid.hub.reference import ModelRef, parse_ref
from idvid.hub.transfer import Source, fetch_file

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

_Done = TypeVar("_Done")
FILES_AT_A_TIME = 4
HEARTBEAT_S = 0.25  # between two reports, also while nothing arrives: a chance to cancel


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadProgress:
    """How far a download is."""

    repo: str  # owner/name
    file_name: str  # the file that last received something; empty at first
    bytes_done: int  # of the wanted files, what was here before included
    bytes_total: int  # 0 while the Hub has not answered
    files_done: int
    files_total: int
    note: str = ""  # a sentence where we wait, or where the model has a new name


class _Tally:
    """What the workers have so far; the only value that threads share."""

    def __init__(self, ref: ModelRef) -> None:
        self._lock, self._repo = threading.Lock(), ref.repo
        self._sizes: dict[str, int] = {}
        self._here: dict[str, int] = {}
        self._last, self._note = "", ""
        self.new_name = ""  # a sentence, where the model has one

    def expect(self, file: RemoteFile, num_bytes: int) -> None:
        self._sizes[file.path] = file.size_bytes
        self._here[file.path] = num_bytes

    @property
    def missing_bytes(self) -> int:
        return sum(self._sizes.values()) - sum(self._here.values())

    def report(self, path: str, num_bytes: int) -> None:
        with self._lock:
            self._here[path], self._last = num_bytes, path

    def say(self, note: str) -> None:
        with self._lock:
            self._note = note

    def progress(self) -> DownloadProgress:
        with self._lock:
            return DownloadProgress(
                repo=self._repo,
                file_name=self._last,
                bytes_done=sum(self._here.values()),
                bytes_total=sum(self._sizes.values()),
                files_done=sum(self._here[p] == n for p, n in self._sizes.items()),
                files_total=len(self._sizes),
                note=self._note or self.new_name,
            )


def local_path(
    source: ModelRef | Path | str,
    offline: bool = False,
    on_progress: Callable[[DownloadProgress], None] | None = None,
) -> Path:
    """The folder of a model, from the cache if it is there, else fetched.

    A revision that is in the cache is never looked up again: pin a commit, or clear the cache to
    follow a branch.

    Args:
        source: A folder, a reference, or text that names either (see `parse_ref`).
        offline: Never use the network.
        on_progress: Called in this thread, a few times a second, while something is fetched; what
            it raises ends the download.

    Raises:
        HubError: If the model is missing, private, gated or cannot be fetched.
    """
    if not isinstance(source, ModelRef):
        folder = Path(source)
        if str(source) and folder.is_dir():
            return folder
        source = parse_ref(str(source))
    if offline:
        return _offline(source)
    with closing(fetch(source)) as steps:
        while True:
            try:
                progress = next(steps)
            except StopIteration as end:
                return end.value
            if on_progress is not None:
                on_progress(progress)


def fetch(
    ref: ModelRef, patience: Patience | None = None
) -> Generator[DownloadProgress, None, Path]:
    """Bring a model into the cache, yield progress a few times a second, return its folder.

    Asks the network nothing if the cache holds all of it. Close the generator to cancel: what has
    arrived is kept, and the next call goes on from there.

    Raises:
        HubError: If it cannot be fetched; the cache stays usable.
    """
    from huggingface_hub import is_offline_mode

    found = _in_cache(ref)
    if found is not None or is_offline_mode():
        return found or _offline(ref)
    tally = _Tally(ref)
    errand = Errand(patience=patience or Patience(), stop=threading.Event(), say=tally.say)
    pool = ThreadPoolExecutor(FILES_AT_A_TIME, thread_name_prefix="hub")
    try:
        listing = yield from _ask(ref, errand, pool, tally)
        if listing is None:
            return _offline(ref)
        cache = _prepare(ref, listing, tally)
        source = Source(
            repo=listing.repo, commit=listing.commit, errand=errand, report=tally.report
        )
        files = wanted(ref, listing.files)
        yield from _watch([pool.submit(fetch_file, f, cache, source) for f in files], tally)
        return cache.snapshot(listing.commit)
    finally:
        errand.stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


def look_up(ref: ModelRef, patience: Patience | None = None) -> ModelFacts:
    """Licence and size before a download; asks the network nothing if the cache holds all of it.

    Raises:
        HubError: If the Hub does not say.
    """
    from huggingface_hub import is_offline_mode

    if _in_cache(ref) is not None or is_offline_mode():
        _offline(ref)  # raises if it is not there
        commit = cache_of(ref.repo).commit_of(ref) or ref.revision
        total = sum(listed_sizes(ref).values())
        return ModelFacts(
            repo=ref.repo, commit=commit, licence=None, is_gated=False,
            total_bytes=total, missing_bytes=0,
        )  # fmt: skip
    errand = Errand(patience=patience or Patience(), stop=threading.Event(), say=lambda _: None)
    listing = ask(ref, errand)
    cache, files = cache_of(ref.repo), wanted(ref, listing.files)
    return ModelFacts(
        repo=listing.repo,
        commit=listing.commit,
        licence=listing.licence,
        is_gated=listing.is_gated,
        total_bytes=sum(file.size_bytes for file in files),
        missing_bytes=sum(f.size_bytes - cache.bytes_here(listing.commit, f) for f in files),
    )


def _in_cache(ref: ModelRef) -> Path | None:
    from huggingface_hub.errors import HFValidationError

    try:
        return complete_snapshot(ref)
    except HFValidationError as error:
        raise reason(error, ref.repo, ref.revision) from error


def _offline(ref: ModelRef) -> Path:
    """What the cache holds, as far as anybody can tell without asking."""
    found = _in_cache(ref) or unlisted_snapshot(ref)
    if found is None:
        raise HubError(
            f"The model {ref.repo} is not on this machine and the network is off; "
            "allow the network once to fetch it."
        )
    return found


def _ask(
    ref: ModelRef, errand: Errand, pool: ThreadPoolExecutor, tally: _Tally
) -> Generator[DownloadProgress, None, Listing | None]:
    """The Hub's list; None if the Hub does not answer but the cache holds an unlisted snapshot."""
    asking = pool.submit(ask, ref, errand)
    try:
        yield from _watch([asking], tally)
    except HubError:
        if unlisted_snapshot(ref) is None:
            raise
        return None
    return asking.result()


def _prepare(ref: ModelRef, listing: Listing, tally: _Tally) -> ModelCache:
    """Everything that can go wrong before the first byte is fetched goes wrong here."""
    cache = cache_of(ref.repo)
    if listing.repo.lower() != ref.repo.lower():
        tally.new_name = f"The model {ref.repo} is now called {listing.repo} on the Hub."
    for file in wanted(ref, listing.files):
        tally.expect(file, cache.bytes_here(listing.commit, file))
    check_space(cache, tally.missing_bytes, ref.repo)
    try:
        cache.register(ref, listing)
    except OSError as error:
        raise reason(error, ref.repo, ref.revision) from error
    return cache


def _watch(
    futures: Sequence[Future[_Done]], tally: _Tally
) -> Generator[DownloadProgress, None, None]:
    """Progress until all are done; raises what the first of them raises."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, HEARTBEAT_S, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        yield tally.progress()
