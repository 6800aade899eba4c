"""Who wants to stop: a flag for each open page. Knows not what it stops."""

from __future__ import annotations

import threading


class Stops:
    """Which sessions want their run to end: one flag per page."""

    def __init__(self) -> None:
        self._flags: dict[str, threading.Event] = {}

    def begin(self, session: str | None) -> None:
        """A new run of this session may go on until told otherwise."""
        self._flags[session or ""] = threading.Event()

    def stop(self, session: str | None) -> None:
        """End this session's run after the current step."""
        self.flag(session).set()

    def forget(self, session: str | None) -> None:
        """The page is closed: end the run and keep nothing."""
        self._flags.pop(session or "", threading.Event()).set()

    def flag(self, session: str | None) -> threading.Event:
        """The flag of this session's current run."""
        return self._flags.setdefault(session or "", threading.Event())
