"""What a command says on stderr while it works: progress on one line, and the model that it loads."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from idvid.hub import size_text
from idvid.pipeline.extras import NOTHING_ADDED, Extras

if TYPE_CHECKING:
    from idvid.hub import DownloadProgress
    from idvid.pipeline.load import LoadedModel
    from idvid.pipeline.loader import Loader
    from idvid.types import StepDone

LINES = 20  # of a download, where they go into a file


class Progress:
    """One line on stderr that says how far a command is and how long it will take."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._start = time.monotonic()
        self.rewrites = sys.stderr.isatty()

    def show(self, message: str) -> None:
        """Replace the line on a terminal; write a new one into a file."""
        start, end = ("\r\033[K", "") if self.rewrites else ("", "\n")
        sys.stderr.write(f"{start}{self._label}: {message}{end}")
        sys.stderr.flush()

    def show_step(self, step: StepDone) -> None:
        """Steps done of all, and the seconds left at the pace so far."""
        spent = time.monotonic() - self._start
        left = spent / step.done * (step.total - step.done)
        self.show(f"step {step.done} of {step.total}, {left:.0f} s left")

    def note(self, message: str) -> None:
        """A sentence that stays, on a line of its own."""
        self.show(message)
        if self.rewrites:
            sys.stderr.write("\n")

    def end(self) -> None:
        """Say how long it took and close the line."""
        self.note(f"done in {time.monotonic() - self._start:.1f} s")


class DownloadLine:
    """How far a download is, how fast, and how long it will take."""

    def __init__(self) -> None:
        self._progress = Progress("download")
        self._start: tuple[float, int] | None = (
            None  # when the first bytes were known, and how many
        )
        self._shown = (-1, "")  # twentieths done, and the note

    def show(self, step: DownloadProgress) -> None:
        """The line for this moment; into a file only where there is news."""
        if not step.bytes_total:
            return
        self._start = self._start or (time.monotonic(), step.bytes_done)
        share = step.bytes_done / step.bytes_total
        news = (step.bytes_done * LINES // step.bytes_total, step.note)
        if news != self._shown or self._progress.rewrites:
            self._shown = news
            self._progress.show(f"{share:4.0%} of {size_text(step.bytes_total)}{self._rest(step)}")

    def end(self) -> None:
        """Close the line, where there was one."""
        if self._start is not None:
            self._progress.end()

    def _rest(self, step: DownloadProgress) -> str:
        assert self._start is not None
        since, before = self._start
        speed = (step.bytes_done - before) / max(1e-3, time.monotonic() - since)
        if step.note or speed <= 0:
            return f". {step.note}" if step.note else ""
        left = (step.bytes_total - step.bytes_done) / speed
        return f", {size_text(round(speed))}/s, {left:.0f} s left, {step.file_name}"


def load_model(loader: Loader, name: str, extras: Extras = NOTHING_ADDED) -> LoadedModel:
    """Say what a model is, how it will lie here and what will be fetched; then fetch and load it.

    Raises:
        ModelError: There is none of that name, it does not fit, or it is damaged.
        HubError: The Hub did not give it; what arrived is kept.
    """
    choice = loader.choose(name, extras)
    if choice.source is not None or choice.why:
        for word, sentence in loader.offer(choice).facts:
            sys.stderr.write(f"{word.lower()}: {sentence}\n")
    line = DownloadLine()
    for step in loader.fetch(choice):
        line.show(step)
    line.end()
    holding = loader.hold(choice)
    while True:
        try:
            sys.stderr.write(f"{next(holding)}\n")
        except StopIteration as end:
            return end.value
