"""The processes that make data while training goes on: renderers and latent encoders.

Every worker makes whole shards and leaves finished ones alone, so that a killed run goes on where
it stopped. Owns processes; knows no model.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from idvid.errors import IdvidError, InputError
from idvid.training.records import clear_partials, record_names, record_path
from idvid.training.shards import (
    ShardJob,
    write_clips,
    write_cutouts,
    write_faces,
    write_series,
    write_traces,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.process import BaseProcess
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from idvid.training.settings import DataSettings

_NICENESS = 10  # rendering yields to training where they share cores
_POLL_S = 2.0
MIN_FREE_BYTES = 3_000_000_000  # four checkpoints of the largest preset
_FACE_VALIDATION = 2  # shards of held-out faces, series and cut-outs

KINDS = ("clips", "faces", "series", "cutouts", "traces")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederJob:
    """What the workers make."""

    folder: Path
    data: DataSettings
    kinds: tuple[str, ...] = KINDS


def clip_jobs(data: DataSettings) -> list[ShardJob]:
    """All shards of clips, validation first."""
    return _jobs(data.num_validation_shards, data.num_shards, data.first_shard)


def make_shards(job: FeederJob, worker: int = 0, workers: int = 1) -> None:
    """Make this worker's share of the missing shards, the kinds growing side by side."""
    data = job.data
    kinds = {  # their jobs, their folder, their work
        "clips": (clip_jobs(data), job.folder, write_clips),
        "faces": (_jobs(_FACE_VALIDATION, data.num_face_shards), job.folder / "faces", write_faces),
        "series": (
            _jobs(_FACE_VALIDATION, data.num_series_shards),
            job.folder / "series",
            write_series,
        ),
        "cutouts": (
            _jobs(_FACE_VALIDATION, data.num_cutout_shards),
            job.folder / "cutouts",
            write_cutouts,
        ),
        "traces": (_jobs(1, data.num_trace_shards), job.folder / "traces", write_traces),
    }
    due = [
        ((index + 1) / len(jobs), kind, shard)
        for kind, (jobs, _, _) in kinds.items()
        if kind in job.kinds
        for index, shard in enumerate(jobs)
    ]
    for _, kind, shard in sorted(due, key=lambda entry: entry[0])[worker::workers]:
        _, folder, write = kinds[kind]
        if not record_path(folder, shard.name).exists():
            check_room(job.folder)
            write(job.folder, shard, data)


def check_room(folder: Path) -> None:
    """Leave a run room for its checkpoints: a preset for hours may ask for more than a disk holds.

    Raises:
        InputError: less than MIN_FREE_BYTES would be left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise InputError(
            f"No more shards are rendered: {free / 1e9:.1f} GB are free where they go, and "
            f"{MIN_FREE_BYTES / 1e9:.0f} GB stay free for checkpoints; give --out on a larger disk."
        )


def _jobs(validation: int, train: int, first: int = 0) -> list[ShardJob]:
    held_out = [ShardJob(split="validation", number=number) for number in range(validation)]
    return held_out + [ShardJob(split="train", number=first + number) for number in range(train)]


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
        for kind in KINDS[1:]:
            clear_partials(job.folder / kind)
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


def derive_shards(
    folder: Path,
    names: Sequence[str],
    derivatives: tuple[str, str],
    write: Callable[[str, Path], None],
) -> None:
    """Make something of every shard as it appears, until all that are named are done.

    Args:
        folder: of the shards.
        names: of the shards.
        derivatives: what is read, the shard itself if empty, and what is made.
        write: given a shard's name and the path of what is made.
    """
    before, after = derivatives
    waiting = list(names)
    while waiting:
        ready = [name for name in waiting if record_path(folder, name, before).exists()]
        for name in ready:
            path = record_path(folder, name, after)
            if not path.exists():
                write(name, path)
        waiting = [name for name in waiting if name not in ready]
        if not ready:
            time.sleep(_POLL_S)


def _alone(work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(_NICENESS)
    import torch

    torch.set_num_threads(1)
    try:
        work(*arguments)
    except IdvidError as error:
        sys.exit(str(error))  # one sentence on standard error, and code 1


def _end_with_parent() -> None:
    """End this worker when the training process is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
