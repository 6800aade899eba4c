"""How far a download is: counted by the workers, read by whoever waits for them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from idvid.hub.listing import RemoteFile
    from idvid.hub.reference import ModelRef


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadProgress:
    """How far a download is."""

    repo: str  # owner/name
    file_name: str  # the file that last received something; empty at first
    bytes_done: (
        int  # of the wanted files, what was here before included; falls if a file starts anew
    )
    bytes_total: int  # 0 while the Hub has not answered
    files_done: int  # of which all bytes are here
    files_total: int
    note: str = ""  # a sentence where we wait, or where the model has a new name


class Tally:
    """What the workers have so far; the only value that threads share."""

    def __init__(self, ref: ModelRef) -> None:
        self._lock, self._repo = threading.Lock(), ref.repo
        self._sizes: dict[str, int] = {}
        self._here: dict[str, int] = {}
        self._last, self._note = "", ""
        self.new_name = ""  # a sentence, where the model has one

    def expect(self, file: RemoteFile, num_bytes: int) -> None:
        """Count a file in, of which so many bytes are here; before the workers start."""
        self._sizes[file.path] = file.size_bytes
        self._here[file.path] = num_bytes

    @property
    def missing_bytes(self) -> int:
        """What is still to come."""
        return sum(self._sizes.values()) - sum(self._here.values())

    def report(self, path: str, num_bytes: int) -> None:
        """So many bytes of a file are here now."""
        with self._lock:
            self._here[path], self._last = num_bytes, path

    def say(self, note: str) -> None:
        """Tell what we wait for; empty if that is over."""
        with self._lock:
            self._note = note

    def progress(self) -> DownloadProgress:
        """How far it all is."""
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
