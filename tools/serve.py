"""A page in a process of its own, on a free port of this machine; for tests and benchmarks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
START_LIMIT_S = 180


@dataclass(frozen=True)
class Server:
    """A running page."""

    url: str
    log: Path
    began: float  # time.monotonic() when the process was started
    seconds_to_answer: float
    pid: int


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    """Whether the page comes with status 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return reply.status == 200
    except OSError:
        return False


@contextmanager
def serving(script: Path, folder: Path, *arguments: str) -> Iterator[Server]:
    """Run a page's script until the block ends.

    Args:
        script: what Python runs.
        folder: gets the log and the uploads.
        arguments: the script's; its port where none are given.

    Raises:
        RuntimeError: it ended, or did not answer within three minutes; says what it wrote.
    """
    port, log = free_port(), folder / "server.log"
    environment = {
        **os.environ,
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "GRADIO_SERVER_PORT": str(port),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, str(script), *(arguments or (str(port),))]
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=ROOT)
        try:
            url = f"http://127.0.0.1:{port}/"
            while not answers(url):
                if process.poll() is not None or time.monotonic() - began > START_LIMIT_S:
                    raise RuntimeError(log.read_text())
                time.sleep(0.1)
            answered = time.monotonic() - began
            yield Server(url=url, log=log, began=began, seconds_to_answer=answered, pid=process.pid)
        finally:
            process.terminate()
            process.wait(timeout=20)
