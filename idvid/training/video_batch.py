"""From cached shards to the batches of the video stage: frames, slots, captions, references."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from idvid import runtime
from idvid.models.prompt_encoder import PAD_ID
from idvid.training.cache import MAX_CHOSEN
from idvid.training.objective import draw_flags, draw_slots, rename_slots
from idvid.training.pool import ShardPool, draw_people, padded_to, tensors_of
from idvid.training.seeding import MAX_PEOPLE
from idvid.training.vocabulary import caption_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

    from idvid.training.pool import Choice, Draws
    from idvid.training.records import Record
    from idvid.training.settings import VideoSettings

SINGLE, SHORT, LONG = 1, 8, 16  # frames of the three sizes of batch
_WORDS_STEP = 48  # captions are padded to a multiple of it
_ARRAYS = (
    "latents",
    "anchors",
    "chosen",
    "vectors",
    "patches",
    "landmarks",
    "visible",
    "expression",
    "is_person",
)
_ANY_FRAMES = 0.25  # share of the rows
ON_HOST = frozenset({"ids", "is_person"})  # what decides how much of a batch is padding
_BY_CHARACTER = ("vectors", "patches", "landmarks", "visible", "expression", "is_person")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoBatch:
    """Rows of clips with everything that conditions them."""

    latents: Tensor  # (B, T, C, h, w)
    anchors: Tensor  # (B, T, C + 1, h, w)
    time_s: Tensor  # (B, T) since the first frame
    ids: Tensor  # (B, L) caption, in which characters are called by their slots
    landmarks: Tensor  # (B, C, T, 5, 2) frame heights
    is_visible: Tensor  # (B, C, T)
    expression: Tensor  # (B, C, T, E)
    slots: Tensor  # (B, C)
    names: Tensor  # (B, C) id of each character's slot token
    vectors: Tensor  # (B, C, R, E)
    patches: Tensor  # (B, C, R, P, F)
    has_reference: Tensor  # (B, C, R)
    is_given: Tensor  # (B,) False: identity is dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """How much of each row is read."""

    frames: int
    characters: int
    references: int


@dataclass(frozen=True, slots=True)
class RowsWith:
    """The rows of a shard that show so many people for long enough."""

    frames: int  # at least
    people: int

    def __call__(self, shard: dict[str, Tensor]) -> NDArray[np.intp]:
        """Indices of the rows."""
        counts = shard["is_person"].sum(1).numpy()
        is_long = shard["latents"].shape[1] >= self.frames
        return np.flatnonzero((counts == self.people) & is_long)


def read_cached(record: Record, tokenizer: PreTrainedTokenizerFast) -> dict[str, Tensor]:
    """The tensors of one cached shard; captions as ids."""
    fps = float(record.notes["fps"])
    tensors = tensors_of(record, *_ARRAYS)
    chosen = padded_to(tensors["chosen"], 2, MAX_PEOPLE, -1)
    tensors |= {name: padded_to(tensors[name], 1, MAX_PEOPLE) for name in _BY_CHARACTER}
    tensors["chosen"] = padded_to(chosen, 3, MAX_CHOSEN, -1)
    seconds = torch.arange(tensors["latents"].shape[1]) / fps
    tensors["time_s"] = seconds.expand(len(tensors["latents"]), -1)
    tensors["ids"] = caption_ids(record, tokenizer)
    return tensors


def batch_size(settings: VideoSettings, draws: Draws, progress: float) -> tuple[int, int]:
    """Rows and frames of this step's batch: the curriculum goes from pictures to clips."""
    start, end = settings.single_share
    is_single, is_long = draws.numpy.random(2) < (
        start + (end - start) * progress,
        settings.long_share,
    )
    if is_single:
        return settings.single_batch, SINGLE
    rows = settings.optimiser.batch_size
    return (max(1, rows // 2), LONG) if is_long else (rows, SHORT)


def draw_batch(
    pool: ShardPool,
    draws: Draws,
    size: tuple[int, int],
    slot_ids: Tensor,
    references: int = MAX_CHOSEN,
    people_shares: Sequence[float] = (1.0,) * MAX_PEOPLE,
) -> dict[str, Tensor]:
    """Draw `size` = (rows, frames) from the pool: raw rows, captions still in order.

    All rows show the same number of people, so that no row carries another's padding.

    Args:
        pool: of cached shards.
        draws: the step's randomness.
        size: rows and frames.
        slot_ids: (8,) id of each slot's token.
        references: at most so many photos of each person are read.
        people_shares: how often 1, 2, ... people are drawn where the pool has such clips.
    """
    rows, frames = size
    rule = partial(RowsWith, frames)
    people = draw_people(pool, draws.numpy, people_shares, rule)
    picked = pool.pick(draws.numpy, rows, rule(people))
    return gather_batch(picked, frames, draws, references) | {"slot_ids": slot_ids}


def gather_batch(
    picked: list[Choice], frames: int, draws: Draws, references: int = MAX_CHOSEN
) -> dict[str, Tensor]:
    """Rows of shards with `frames` frames each, without the padding that none of them needs.

    What decides how much that is lies in main memory, so that nothing here waits for a GPU.
    """
    characters = max(int(shard["is_person"][rows].any(0).sum()) for shard, rows in picked)
    read = _Read(frames=frames, characters=max(1, characters), references=references)
    parts = [_gather(shard, rows, read, draws) for shard, rows in picked]
    whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    whole["ids"] = _without_padding(whole["ids"])
    device = whole["latents"].device
    return whole | {name: runtime.sent(whole[name], device) for name in ON_HOST}


def finish_batch(rows: dict[str, Tensor], settings: VideoSettings, draws: Draws) -> VideoBatch:
    """Give slots, rename the captions' characters to match, and drop text and identity."""
    count, noise = len(rows["ids"]), draws.torch
    slots = draw_slots(rows["is_person"], settings.shuffle_slots, noise)
    ids = rename_slots(rows["ids"], slots, rows["slot_ids"])
    is_silent = draw_flags(count, settings.drop_text, noise)
    return VideoBatch(
        latents=rows["latents"],
        anchors=rows["anchors"],
        time_s=rows["time_s"],
        ids=ids.masked_fill(is_silent[:, None], PAD_ID),
        landmarks=rows["landmarks"],
        is_visible=rows["visible"],
        expression=rows["expression"],
        slots=slots,
        names=rows["slot_ids"][slots],
        vectors=rows["vectors"],
        patches=rows["patches"],
        has_reference=rows["has_reference"],
        is_given=~draw_flags(count, settings.drop_identity, noise),
    )


def _gather(
    shard: dict[str, Tensor], rows: NDArray[np.intp], read: _Read, draws: Draws
) -> dict[str, Tensor]:
    """Rows (n,) of a shard, one phrasing and one draw of references."""
    rng, count, people = draws.numpy, len(rows), slice(read.characters)
    total, device = shard["latents"].shape[1], shard["latents"].device
    times_host = _frames(rng, count, total, read.frames)
    variant_host = rng.integers(shard["chosen"].shape[1], size=count)
    phrasing = rng.integers(shard["ids"].shape[1], size=count)
    drawn = runtime.sent(np.column_stack([rows, variant_host, times_host]), device)
    picked, variant, times = drawn[:, 0], drawn[:, 1], drawn[:, 2:]
    row = picked[:, None]
    chosen = shard["chosen"][picked, variant, people, : read.references]  # (n, C, R)
    character = torch.arange(chosen.shape[1], device=device)[None, :, None]
    index = (picked[:, None, None], character, chosen.clamp(min=0))
    seconds = shard["time_s"][row, times]
    return {
        "latents": shard["latents"][row, times].float(),
        "anchors": shard["anchors"][row, variant[:, None], times].float(),
        "time_s": seconds - seconds[:, :1],
        "ids": shard["ids"][rows, phrasing],
        "landmarks": _at_times(shard["landmarks"][picked, people], times),
        "visible": _at_times(shard["visible"][picked, people], times),
        "expression": _at_times(shard["expression"][picked, people], times),
        "is_person": shard["is_person"][rows, people],
        "vectors": shard["vectors"][index].float(),
        "patches": shard["patches"][index].float(),
        "has_reference": chosen >= 0,
    }


def _without_padding(ids: Tensor) -> Tensor:
    """Captions (B, L) no longer than they need; the few lengths that are left suit a compiled model."""
    words = max(1, int((ids != PAD_ID).any(0).sum()))
    return ids[:, : -(-words // _WORDS_STEP) * _WORDS_STEP]


def _at_times(values: Tensor, times: Tensor) -> Tensor:
    """Values (n, 3, T, ...) at frames (n, F)."""
    index = times[:, None].expand(-1, values.shape[1], -1)
    index = index.view(*index.shape, *(1,) * (values.ndim - 3)).expand(
        -1, -1, -1, *values.shape[3:]
    )
    return values.gather(2, index)


def _frames(rng: np.random.Generator, rows: int, total: int, count: int) -> NDArray[np.intp]:
    """Which `count` of `total` frames of each row: evenly spread or (a quarter of the rows) any."""
    stride = rng.integers(1, max(1, total // count) + 1, size=(rows, 1))
    first = (rng.random((rows, 1)) * (total - (count - 1) * stride)).astype(np.intp)
    anywhere = np.sort(rng.random((rows, total)).argsort(1)[:, :count], axis=1)
    is_any = rng.random((rows, 1)) < _ANY_FRAMES
    return np.where(is_any, anywhere, first + stride * np.arange(count))
