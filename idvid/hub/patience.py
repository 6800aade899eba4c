"""How long we bear with a Hub that is busy, slow or broken, and when trying again makes sense."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    import httpx2

_Result = TypeVar("_Result")
PROGRESS_BYTES = 1 << 20  # a try that brought this much was no failure
PASSING = frozenset({408, 429, 500, 502, 503, 504})  # statuses that may be gone in a moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """The limits of one download."""

    tries: int = 4  # failures in a row without progress, after which we give up
    connect_s: float = 10.0
    stall_s: float = 20.0  # longest silence; also the span over which speed is judged
    least_bytes_per_s: int = 1024  # slower than this over `stall_s` counts as a failure
    first_pause_s: float = 1.0  # before the second try; doubles each time
    longest_wait_s: float = 60.0  # give up where the Hub asks us to wait longer
    answer_s: float = (
        180.0  # longest time for the Hub to say what a model holds, all tries together
    )

    def timeout(self) -> httpx2.Timeout:
        """The client's limits for one request."""
        import httpx2

        return httpx2.Timeout(self.stall_s, connect=self.connect_s)

    def pause_s(self, error: Exception, failures: int) -> float | None:
        """Seconds to wait before the next try, or None if there should be none.

        Args:
            error: Why the last try failed.
            failures: How many tries in a row failed without progress, this one included; at least 1.
        """
        if failures >= self.tries or not _may_pass(error):
            return None
        asked = wait_asked_s(error)
        if asked is not None:
            return asked if asked <= self.longest_wait_s else None
        return min(self.first_pause_s * 2 ** (failures - 1), self.longest_wait_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """Something that is asked of the Hub on somebody's behalf, who may call it off."""

    patience: Patience
    stop: threading.Event  # set: end as soon as possible
    say: Callable[[str], None]  # a sentence about what we wait for; empty: it is over


class StoppedError(Exception):
    """Somebody called the errand off."""


class TooSlowError(Exception):
    """Fewer bytes arrived than patience allows."""


class BrokenOffError(Exception):
    """The answer ended before the file did."""


class Pace:
    """Watches that bytes go on arriving."""

    def __init__(self, patience: Patience) -> None:
        self._patience, self._since, self._bytes = patience, time.monotonic(), 0

    def add(self, num_bytes: int) -> None:
        """Count bytes that arrived.

        Raises:
            TooSlowError: If the last `stall_s` seconds brought too few.
        """
        self._bytes += num_bytes
        span_s = time.monotonic() - self._since
        if span_s < self._patience.stall_s:
            return
        if self._bytes < span_s * self._patience.least_bytes_per_s:
            raise TooSlowError
        self._since, self._bytes = time.monotonic(), 0


def persist(
    attempt: Callable[[], _Result], errand: Errand, bytes_here: Callable[[], int] = lambda: 0
) -> _Result:
    """Try until it works, or until patience ends; a try that brought bytes is no failure.

    Raises:
        httpx2.HTTPError, TooSlowError, BrokenOffError: The last failure.
        StoppedError: If the errand was called off while it waited.
    """
    import httpx2

    failures = 0
    while True:
        before = bytes_here()
        try:
            return attempt()
        except (httpx2.HTTPError, TooSlowError, BrokenOffError) as error:
            failures = 1 if bytes_here() - before >= PROGRESS_BYTES else failures + 1
            pause_s = errand.patience.pause_s(error, failures)
            if pause_s is None:
                raise
        errand.say(f"The Hub is busy or slow; we try again in {pause_s:.0f} seconds.")
        if errand.stop.wait(pause_s):
            raise StoppedError
        errand.say("")


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind an error."""
    response = getattr(error, "response", None)
    return None if response is None else response.status_code


def wait_asked_s(error: BaseException) -> float | None:
    """How long the Hub asks us to wait: its rate headers, or Retry-After as seconds or a date."""
    from huggingface_hub.utils import parse_ratelimit_headers

    headers = getattr(getattr(error, "response", None), "headers", {})
    limit = parse_ratelimit_headers(headers)
    if status_of(error) == 429 and limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    text = headers.get("Retry-After", "").strip()
    return float(text) if text.isdigit() else _seconds_until(text)


def _seconds_until(date: str) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except ValueError:
        return None


def _may_pass(error: Exception) -> bool:
    import httpx2

    broken = isinstance(error, httpx2.TransportError | TooSlowError | BrokenOffError)
    return broken or status_of(error) in PASSING
