"""Shards held in memory, and the draws of one training step from them.

A draw is a function of the run's seed, the step and the shards known at that step, so that a
resumed run goes on exactly where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from idvid import runtime
from idvid.training.records import Record, record_names, record_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    # Which rows of a shard may be drawn. Equal rules must be equal values.
    Rule = Callable[[dict[str, Tensor]], NDArray[np.intp]]
    Choice = tuple[dict[str, Tensor], NDArray[np.intp]]

_MOST_SHARDS = 32  # in one draw: on a GPU the shards that are read, not the rows, cost the time
_AT_ONCE = 8  # new shards taken in at one look, so that no step stalls for long


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """The randomness of one step."""

    numpy: np.random.Generator  # which examples
    torch: torch.Generator  # noise, on the device of training

    @classmethod
    def of_step(cls, seed: int, step: int, device: torch.device | str = "cpu") -> Draws:
        """The same seed and step give the same draws."""
        source = np.random.default_rng([seed, step])
        noise = torch.Generator(device).manual_seed(int(source.integers(2**62)))
        return cls(numpy=source, torch=noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardKind:
    """Which files a pool reads, and how."""

    folder: Path
    split: str
    derivative: str
    read: Callable[[Record], dict[str, Tensor]]  # first axis: examples
    on_host: frozenset[str] = frozenset()  # tensors that stay in main memory


class ShardPool:
    """Tensors of the shards seen so far; `poll` takes in those that were made meanwhile."""

    def __init__(self, kind: ShardKind, limit: int, device: torch.device | str = "cpu") -> None:
        self._kind, self._limit, self._device = kind, limit, torch.device(device)
        self.names: list[str] = []
        self.shards: list[dict[str, Tensor]] = []
        self._answers: dict[Rule, tuple[int, list[Choice]]] = {}

    def poll(self) -> int:
        """Take in new shards, up to the limit, and return how many."""
        kind = self._kind
        known = set(self.names)
        found = record_names(kind.folder, kind.split, kind.derivative)
        room = self._limit - len(self.names)
        fresh = [name for name in found if name not in known][: min(_AT_ONCE, room)]
        self._load(fresh)
        return len(fresh)

    def poll_all(self) -> None:
        """Take in all there is, up to the limit."""
        while self.poll():
            pass

    def restore(self, names: Sequence[str]) -> None:
        """Hold exactly the named shards, in their order."""
        self.names, self.shards, self._answers = [], [], {}
        self._load(names)

    def __len__(self) -> int:
        """Number of examples."""
        return sum(len(next(iter(shard.values()))) for shard in self.shards)

    def draw(
        self, rng: np.random.Generator, count: int, rule: Rule | None = None
    ) -> list[tuple[dict[str, Tensor], Tensor]]:
        """As `pick`, with the rows as tensors on the pool's device."""
        return [
            (shard, runtime.sent(rows, self._device)) for shard, rows in self.pick(rng, count, rule)
        ]

    def pick(self, rng: np.random.Generator, count: int, rule: Rule | None = None) -> list[Choice]:
        """Draw examples uniformly from uniformly drawn shards: (shard, rows) pairs.

        No draw reads more than `_MOST_SHARDS` shards.

        Args:
            rng: which ones.
            count: how many.
            rule: the rows of a shard that may be drawn; default: all.
        """
        choices = self.eligible(rule or _all_rows)
        if len(choices) > _MOST_SHARDS:
            chosen = rng.choice(len(choices), _MOST_SHARDS, replace=False)
            choices = [choices[index] for index in chosen]
        picks = np.sort(rng.integers(len(choices), size=count))
        drawn = []
        for index in np.unique(picks):
            shard, allowed = choices[index]
            rows = allowed[rng.integers(len(allowed), size=int((picks == index).sum()))]
            drawn.append((shard, rows))
        return drawn

    def eligible(self, rule: Rule) -> list[Choice]:
        """The shards with rows that a rule allows, and those rows.

        A rule is asked once per shard and remembered: its answer may have to come from a GPU, which
        a step of training must not wait for a thousand times.
        """
        asked, choices = self._answers.get(rule, (0, []))
        answers = ((shard, rule(shard)) for shard in self.shards[asked:])
        choices = choices + [answer for answer in answers if len(answer[1])]
        self._answers[rule] = (len(self.shards), choices)
        return choices

    def first(self, count: int) -> list[Choice]:
        """`count` different examples, as many of each shard: always the same ones."""
        share = -(-count // len(self.shards))
        sizes = [min(share, len(next(iter(shard.values())))) for shard in self.shards]
        return [(shard, np.arange(size)) for shard, size in zip(self.shards, sizes, strict=True)]

    def _load(self, names: Sequence[str]) -> None:
        kind = self._kind
        for name in names:
            tensors = kind.read(Record(record_path(kind.folder, name, kind.derivative)))
            self.shards.append({key: self._placed(key, value) for key, value in tensors.items()})
            self.names.append(name)

    def _placed(self, name: str, value: Tensor) -> Tensor:
        return value if name in self._kind.on_host else value.to(self._device)


def both_splits(
    folder: Path,
    read: Callable[[Record], dict[str, Tensor]],
    limit: int,
    device: str,
    on_host: frozenset[str] = frozenset(),
) -> tuple[ShardPool, ShardPool]:
    """Pools of a folder's own shards: of training, and of validation people.

    Args:
        folder: of the shards.
        read: a shard to tensors.
        limit: most shards in memory.
        device: where the tensors lie.
        on_host: those that stay in main memory.
    """
    kinds = (
        ShardKind(folder=folder, split=split, derivative="", read=read, on_host=on_host)
        for split in ("train", "validation")
    )
    train, validation = (ShardPool(kind, limit, device) for kind in kinds)
    return train, validation


def draw_people(
    pool: ShardPool, rng: np.random.Generator, shares: Sequence[float], rule: Callable[[int], Rule]
) -> int:
    """How many people a batch shows; what the pool does not hold is not drawn.

    Args:
        pool: the shards.
        rng: which number.
        shares: of batches with 1, 2, ... people.
        rule: for a number of people, the rows that show so many.
    """
    held = [bool(pool.eligible(rule(count))) for count in range(1, len(shares) + 1)]
    odds = np.where(held, shares, 0.0)
    if not odds.any():  # only such rows are here as the shares leave out
        odds = np.asarray(held, dtype=float)
    return 1 + int(rng.choice(len(shares), p=odds / odds.sum()))


def _all_rows(shard: dict[str, Tensor]) -> NDArray[np.intp]:
    return np.arange(len(next(iter(shard.values()))))


def tensors_of(record: Record, *names: str) -> dict[str, Tensor]:
    """Arrays of a record as tensors."""
    return {name: torch.from_numpy(np.asarray(record.array(name))) for name in names}


def padded_to(values: Tensor, dim: int, size: int, filling: float = 0) -> Tensor:
    """The values with `dim` brought to `size`: shards of different ages hold different paddings."""
    shape = list(values.shape)
    shape[dim] = size
    whole = values.new_full(shape, filling)  # torch.cat refuses float16 where bfloat16 is automatic
    whole.narrow(dim, 0, values.shape[dim]).copy_(values)
    return whole


def to_signed(pictures: Tensor) -> Tensor:
    """Pictures uint8 (..., H, W, 3) to floats (..., 3, H, W) in -1..1."""
    return pictures.movedim(-1, -3).float() / 127.5 - 1
