"""A whole model: looked up in the cache, else fetched, several files at a time, with progress."""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from idvid.errors import HubError
from idvid.hub.cache import (
    ModelCache,
    cache_of,
    check_space,
    complete_snapshot,
    unlisted_snapshot,
)
from idvid.hub.listing import Listing, ModelFacts, ask, wanted
from idvid.hub.patience import Errand, Patience, TooSlowError
from idvid.hub.progress import DownloadProgress, Tally
from idvid.hub.reasons import reason
from idvid.hub.reference import ModelRef, parse_ref
from idvid.hub.transfer import Source, fetch_file

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

_Result = TypeVar("_Result")
FILES_AT_A_TIME = 4
HEARTBEAT_S = 0.25  # between two reports, also while nothing arrives: a chance to cancel


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
    return _end_of(fetch(source), on_progress)


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
    tally = Tally(ref)
    with _workers(patience or Patience(), tally.say) as (errand, pool):
        listing = yield from _ask(ref, errand, pool, tally)
        if listing is None:
            return _offline(ref)
        cache = _prepare(ref, listing, tally)
        source = Source(
            repo=listing.repo, commit=listing.commit, errand=errand, report=tally.report
        )
        files = [f for f in wanted(ref, listing.files) if not cache.shows(listing.commit, f)]
        yield from _watch([pool.submit(fetch_file, f, cache, source) for f in files], tally)
        return cache.snapshot(listing.commit)


def look_up(ref: ModelRef, patience: Patience | None = None) -> ModelFacts:
    """Licence and size before a download; asks the network nothing if the cache holds all of it.

    Raises:
        HubError: If the Hub does not say.
    """
    from huggingface_hub import is_offline_mode

    if _in_cache(ref) is not None or is_offline_mode():
        return _facts_offline(ref)
    tally = Tally(ref)
    with _workers(patience or Patience(), tally.say) as (errand, pool):
        listing = _end_of(_ask(ref, errand, pool, tally))
    if listing is None:
        return _facts_offline(ref)
    cache, files = cache_of(ref.repo), wanted(ref, listing.files)
    return ModelFacts(
        repo=listing.repo,
        commit=listing.commit,
        licence=listing.licence,
        is_gated=listing.is_gated,
        total_bytes=sum(file.size_bytes for file in files),
        missing_bytes=sum(f.size_bytes - cache.bytes_here(listing.commit, f) for f in files),
    )


def _facts_offline(ref: ModelRef) -> ModelFacts:
    folder = _offline(ref)
    sizes = (
        p.stat().st_size for p in folder.rglob("*") if ref.wants(p.relative_to(folder).as_posix())
    )
    return ModelFacts(
        repo=ref.repo, commit=folder.name, licence=None, is_gated=False,
        total_bytes=sum(sizes), missing_bytes=0,
    )  # fmt: skip


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
    ref: ModelRef, errand: Errand, pool: ThreadPoolExecutor, tally: Tally
) -> Generator[DownloadProgress, None, Listing | None]:
    """The Hub's list; None if the Hub does not answer but the cache holds an unlisted snapshot."""
    asking = pool.submit(ask, ref, errand)
    try:
        yield from _watch([asking], tally, errand.patience.answer_s)
    except TooSlowError as error:
        raise reason(error, ref.repo, ref.revision) from error
    except HubError:
        if unlisted_snapshot(ref) is None:
            raise
        return None
    return asking.result()


def _prepare(ref: ModelRef, listing: Listing, tally: Tally) -> ModelCache:
    """Everything that can go wrong before the first byte is fetched goes wrong here."""
    cache = cache_of(ref.repo)
    if listing.repo.lower() != ref.repo.lower():
        tally.new_name = f"The model {ref.repo} is now called {listing.repo} on the Hub."
    files = wanted(ref, listing.files)
    for file in files:
        tally.expect(file, cache.bytes_here(listing.commit, file))
    check_space(cache, tally.missing_bytes, ref.repo)
    try:
        cache.register(ref, listing)
    except OSError as error:
        if not all(cache.shows(listing.commit, file) for file in files):
            raise reason(error, ref.repo, ref.revision) from error
        # else a cache that was built for us to read, with all of it: an image's, perhaps
    return cache


def _watch(
    futures: Sequence[Future[_Result]], tally: Tally, limit_s: float = inf
) -> Generator[DownloadProgress, None, None]:
    """Progress until all are done; raises what the first of them raises, or TooSlowError."""
    pending, ends = set(futures), time.monotonic() + limit_s
    while pending:
        done, pending = wait(pending, HEARTBEAT_S, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        if pending and time.monotonic() > ends:
            raise TooSlowError
        yield tally.progress()


def _end_of(
    steps: Generator[DownloadProgress, None, _Result],
    on_progress: Callable[[DownloadProgress], None] | None = None,
) -> _Result:
    """Follow a generator to what it returns."""
    with closing(steps):
        while True:
            try:
                progress = next(steps)
            except StopIteration as end:
                return end.value
            if on_progress is not None:
                on_progress(progress)


@contextmanager
def _workers(
    patience: Patience, say: Callable[[str], None]
) -> Iterator[tuple[Errand, ThreadPoolExecutor]]:
    """Threads for one errand, which is called off when the block ends, however it does.

    Nobody waits for them: one that hears nothing from the network ends when its patience does.
    """
    errand = Errand(patience=patience, stop=threading.Event(), say=say)
    pool = ThreadPoolExecutor(FILES_AT_A_TIME, thread_name_prefix="hub")
    try:
        yield errand, pool
    finally:
        errand.stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
