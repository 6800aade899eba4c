"""One file from the Hub into the cache: in pieces, going on after breaks, checked before it counts.

The Hub library's own download keeps nothing of a file that it did not finish, compares sizes but
not checksums, and sleeps as long as the Hub asks. Hence this one, on the library's session.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from idvid.errors import HubError
from idvid.hub.patience import (
    PROGRESS_BYTES,
    BrokenOffError,
    Errand,
    Pace,
    StoppedError,
    TooSlowError,
    persist,
)
from idvid.hub.reasons import reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx2

    from idvid.hub.cache import ModelCache
    from idvid.hub.listing import RemoteFile

MAX_DAMAGED = 2  # whole files with a wrong checksum, after which we give up
_RANGE = re.compile(r"bytes (\d+)-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where files come from, and on whose errand."""

    repo: str  # owner/name
    commit: str
    errand: Errand
    report: Callable[[str, int], None]  # path, bytes of it that are here


class PartialFile:
    """A content that grows on disk; every piece is written at once, so that a kill loses none."""

    def __init__(self, path: Path, file: RemoteFile) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.file = path, file
        self.size = 0
        self._digest = file.new_digest()
        self._handle = path.open("a+b", buffering=0)
        self._read_what_is_there()

    def _read_what_is_there(self) -> None:
        self._handle.seek(0)
        while piece := self._handle.read(PROGRESS_BYTES):
            self._digest.update(piece)
            self.size += len(piece)
        if self.size > self.file.size_bytes:
            self.restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()

    @property
    def is_whole(self) -> bool:
        """Whether as many bytes are there as should be."""
        return self.size >= self.file.size_bytes

    @property
    def is_sound(self) -> bool:
        """Whether size and checksum are what the Hub says."""
        is_size_right = self.size == self.file.size_bytes
        return is_size_right and self._digest.hexdigest() == self.file.blob

    def append(self, piece: bytes) -> None:
        """Write a piece at the end."""
        self._handle.write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    def restart(self) -> None:
        """Throw away what is there."""
        self._handle.truncate(0)
        self.size, self._digest = 0, self.file.new_digest()


def fetch_file(file: RemoteFile, cache: ModelCache, source: Source) -> None:
    """Bring a file into the snapshot, from the cache where its content is there already.

    Raises:
        HubError: If it cannot be had; what arrived stays for the next time.
        StoppedError: If the errand was called off.
    """
    import httpx2

    with cache.locked(file, source.errand):
        if source.errand.stop.is_set():
            raise StoppedError
        blob = cache.blob(file)
        try:
            if not (blob.is_file() and blob.stat().st_size == file.size_bytes):
                _fetch_content(file, cache.partial(file), source)
                cache.partial(file).replace(blob)
            cache.point(source.commit, file)
        except (httpx2.HTTPError, TooSlowError, BrokenOffError, OSError) as error:
            raise reason(error, source.repo, source.commit, file.path) from error
    source.report(file.path, file.size_bytes)


def _fetch_content(file: RemoteFile, path: Path, source: Source) -> None:
    with PartialFile(path, file) as partial:
        for _ in range(MAX_DAMAGED):
            persist(lambda: _receive(partial, source), source.errand, lambda: partial.size)
            if partial.is_sound:
                return
            partial.restart()
    raise HubError(
        f"{file.path} of {source.repo} arrived damaged {MAX_DAMAGED} times: its checksum is not "
        "the one that the Hub names; try again later."
    )


def _receive(partial: PartialFile, source: Source) -> None:
    """Ask for what is missing and write it as it comes; nothing if nothing is."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    if partial.is_whole:
        return
    url = hf_hub_url(source.repo, partial.file.path, revision=source.commit)
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if partial.size:
        headers["Range"] = f"bytes={partial.size}-"
    timeout = source.errand.patience.timeout()
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
        hf_raise_for_status(response)
        _align(partial, response)
        source.report(partial.file.path, partial.size)
        pace = Pace(source.errand.patience)
        for piece in response.iter_bytes():
            if source.errand.stop.is_set():
                raise StoppedError
            partial.append(piece)
            source.report(partial.file.path, min(partial.size, partial.file.size_bytes))
            pace.add(len(piece))
            if partial.size > partial.file.size_bytes:
                return  # more than there should be: the checksum will say no
    if not partial.is_whole:
        raise BrokenOffError


def _align(partial: PartialFile, response: httpx2.Response) -> None:
    """Start anew where the answer does not go on from what we have."""
    found = _RANGE.match(response.headers.get("Content-Range", ""))
    start = int(found[1]) if response.status_code == 206 and found else 0
    if start == partial.size:
        return
    partial.restart()
    if start:
        raise BrokenOffError  # a part from the middle
