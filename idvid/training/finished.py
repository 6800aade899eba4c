"""Clips as the student leaves them, beside the frames that they should have been.

A training clip is noised as far as it is after one or two of the student's steps, which then go
on to the end. What comes out shows the same people in the same places, blurred and mixed as
generated clips are. Made once per shard, and kept beside it under a key of the weights.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from idvid import runtime
from idvid.conditioning.anchors import blank_latents
from idvid.conditioning.text import slot_ids
from idvid.config import DEFAULTS, FEW_STEPS
from idvid.errors import ModelError
from idvid.methods import METHODS
from idvid.models.checkpoint import STUDENT, load_part
from idvid.pipeline.denoise import SHARED_NOISE, follow, time_steps
from idvid.pipeline.predict import Steering, predictor
from idvid.training.feeder import clip_jobs, derive_shards
from idvid.training.objective import add_noise, clip_noise
from idvid.training.pool import Draws
from idvid.training.records import Record, record_path, write_record
from idvid.training.seeding import MAX_PEOPLE
from idvid.training.teacher import Teacher, frozen_parts, grid_of
from idvid.training.video_batch import ON_HOST, finish_batch, gather_batch, read_cached

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from idvid.models.video_transformer import VideoTransformer
    from idvid.training.settings import TrainingSettings, VideoSettings

FORMAT = 1
_FIRST_STEPS = (1, 2)  # of the student: so far a clip is noised, half of the clips each
_KEPT = ("frames", "landmarks", "visible")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishJob:
    """What a worker makes."""

    folder: Path  # of the shards
    latents: str  # the derivative that the video stage reads
    starts: tuple[Path, ...]  # model folders, best first
    settings: TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Finisher:
    """The student, and what it reads."""

    student: VideoTransformer
    teacher: Teacher  # for its encoders, and how the student is held
    tokenizer: PreTrainedTokenizerFast
    settings: VideoSettings


def student_folder(starts: Sequence[Path]) -> Path:
    """The first model folder with a student.

    Raises:
        ModelError: there is none.
    """
    for folder in starts:
        if (folder / STUDENT / "config.json").exists():
            return folder
    raise ModelError("There is no few-step model whose pictures to draw; train 'distil' first.")


def load_finisher(
    starts: Sequence[Path], settings: TrainingSettings, device: str = "cpu"
) -> Finisher:
    """The student of the first folder that has one.

    Raises:
        ModelError: there is none.
    """
    folder = student_folder(starts)
    autoencoder = load_part("autoencoder", folder / "autoencoder").to(device)
    steering = Steering(
        hold_until=METHODS["locks"].hold_until,
        blank=blank_latents(autoencoder, settings.data.size),
    )
    return Finisher(
        student=load_part(STUDENT, folder / STUDENT).to(device),
        teacher=Teacher(parts=frozen_parts((folder,)).to(device), steering=steering),
        tokenizer=PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer"),
        settings=settings.video.without_drops(),
    )


def finished_name(starts: Sequence[Path], latents: str) -> str:
    """Name of the derivatives that the student makes of cached shards."""
    digest = hashlib.sha256(f"format {FORMAT} {latents}".encode())
    for path in sorted((student_folder(starts) / STUDENT).glob("*.safetensors")):
        digest.update(path.read_bytes())
    return f"finished-{digest.hexdigest()[:8]}"


def finish_shards(job: FinishJob, worker: int = 0) -> None:
    """Finish this worker's share of the shards as they are encoded, until all that are wanted exist."""
    data = job.settings.data
    finisher = load_finisher(job.starts, job.settings, data.encode_device)
    names = [shard.name for shard in clip_jobs(data)][worker :: data.encoders]
    finished = finished_name(job.starts, job.latents)

    def write(name: str, path: Path) -> None:
        cached = Record(record_path(job.folder, name, job.latents))
        write_finished(Record(record_path(job.folder, name)), cached, path, finisher)

    derive_shards(job.folder, names, (job.latents, finished), write)


def write_finished(shard: Record, cached: Record, path: Path, finisher: Finisher) -> None:
    """Let the student finish the clips of one shard; all draws follow from the shard's name."""
    device = next(finisher.student.parameters()).device
    clips = placed(read_cached(cached, finisher.tokenizer), device)
    made = torch.zeros_like(clips["latents"])
    seed = int.from_bytes(hashlib.sha256(path.name.split(".")[0].encode()).digest()[:4], "big")
    is_fast = runtime.is_fast_in_bf16(device.type)
    for number, (rows, first) in enumerate(_groups(clips)):
        draws = Draws.of_step(seed, number, device)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=is_fast):
            made[rows] = _finished(clips, rows, first, draws, finisher).to(made.dtype)
    arrays = {name: shard.array(name) for name in _KEPT}
    arrays |= {"latents": _cells(clips["latents"]), "finished": _cells(made)}
    write_record(path, arrays, {})


def placed(clips: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """On a device, but for what `gather_batch` wants to find in main memory."""
    return {n: value if n in ON_HOST else value.to(device) for n, value in clips.items()}


def _groups(clips: dict[str, Tensor]) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Rows that show the same number of people, and the student's step that they start from."""
    people = clips["is_person"].sum(1).numpy()
    for count, (half, first) in product(range(1, MAX_PEOPLE + 1), enumerate(_FIRST_STEPS)):
        rows = np.flatnonzero(people == count)[half :: len(_FIRST_STEPS)]
        if len(rows):
            yield rows, first


def _finished(
    clips: dict[str, Tensor],
    rows: NDArray[np.intp],
    first: int,
    draws: Draws,
    finisher: Finisher,
) -> Tensor:
    """The clips of some rows (n, T, C, h, w)."""
    drawn = gather_batch([(clips, rows)], clips["latents"].shape[1], draws)
    drawn["slot_ids"] = slot_ids(finisher.tokenizer).to(clips["latents"].device)
    batch = finish_batch(drawn, finisher.settings, draws)
    conditions = finisher.teacher.conditions(batch, DEFAULTS.identity_strength)
    steering = finisher.teacher.steering
    predict = predictor(finisher.student, conditions, conditions, grid_of(batch), steering)
    steps = time_steps(FEW_STEPS)[first:]
    noise = clip_noise(batch.latents, draws.torch, SHARED_NOISE)
    noisy = add_noise(batch.latents, noise, torch.full_like(batch.time_s, float(steps[0])))
    *_, made = follow(noisy, batch.latents[:, :0], predict, steps)
    return made


def _cells(latents: Tensor) -> NDArray[np.float16]:
    """Channels last, so that crops are slices of cells: (n, T, h, w, C)."""
    return latents.movedim(2, -1).half().cpu().numpy()
