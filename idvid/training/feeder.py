"""The processes that make data while training goes on: renderers and latent encoders.

Every worker makes whole shards and leaves finished ones alone, so that a killed run goes on where
it stopped. Owns processes; knows no model.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from idvid.training.records import clear_partials, record_names, record_path
from idvid.training.shards import ShardJob, write_clips, write_traces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from idvid.training.settings import DataSettings

_NICENESS = 10  # rendering yields to training where they share cores
_POLL_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederJob:
    """What the workers make."""

    folder: Path
    data: DataSettings
    kinds: tuple[str, ...] = ("clips", "traces")


def clip_jobs(data: DataSettings) -> list[ShardJob]:
    """All shards of clips, validation first."""
    validation = [ShardJob(split="validation", number=n) for n in range(data.num_validation_shards)]
    return validation + [ShardJob(split="train", number=n) for n in range(data.num_shards)]


def trace_jobs(data: DataSettings) -> list[ShardJob]:
    """All shards of landmark traces, validation first."""
    validation = [ShardJob(split="validation", number=0)]
    return validation + [ShardJob(split="train", number=n) for n in range(data.num_trace_shards)]


def make_shards(job: FeederJob, worker: int = 0, workers: int = 1) -> None:
    """Make this worker's share of the missing shards, in order."""
    if "clips" in job.kinds:
        for shard in clip_jobs(job.data)[worker::workers]:
            if not record_path(job.folder, shard.name).exists():
                write_clips(job.folder, shard, job.data)
    if "traces" in job.kinds:
        for shard in trace_jobs(job.data)[worker::workers]:
            if not record_path(job.folder / "traces", shard.name).exists():
                write_traces(job.folder, shard, job.data)


class Feeder:
    """Worker processes for the time of a `with` block; they end with it."""

    def __init__(self) -> None:
        self._processes: list[BaseProcess] = []

    def start(self, work: Callable[..., None], *arguments: object) -> None:
        """Run `work(*arguments)` in a process of its own with one thread."""
        process = multiprocessing.get_context("spawn").Process(
            target=_alone, args=(work, *arguments), daemon=True
        )
        process.start()
        self._processes.append(process)

    def start_rendering(self, job: FeederJob) -> None:
        """Start the renderers."""
        clear_partials(job.folder)
        clear_partials(job.folder / "traces")
        for worker in range(job.data.workers):
            self.start(make_shards, job, worker, job.data.workers)

    def check(self) -> None:
        """Notice a worker that failed.

        Raises:
            RuntimeError: one did; its traceback is on standard error.
        """
        failed = [process for process in self._processes if process.exitcode not in (None, 0)]
        if failed:
            message = f"A data worker ended with code {failed[0].exitcode}."
            raise RuntimeError(message)

    def join(self) -> None:
        """Wait for all workers."""
        while any(process.is_alive() for process in self._processes):
            self.check()
            time.sleep(0.2)
        self.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()


def wait_for(folder: Path, split: str, derivative: str, count: int) -> Iterator[int]:
    """Yield how many shards there are until there are `count`."""
    while (found := len(record_names(folder, split, derivative))) < count:
        yield found
        time.sleep(_POLL_S)


def _alone(work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(_NICENESS)
    import torch

    torch.set_num_threads(1)
    work(*arguments)


def _end_with_parent() -> None:
    """End this worker when the training process is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
