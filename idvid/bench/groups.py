"""Is everybody served alike? The figures of a benchmark by skin tone, beside real renders'."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from idvid.bench import tables
from idvid.bench.figures import average, share

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from idvid.bench.cast import CastMember
    from idvid.bench.play import Played
    from idvid.bench.watch import Score

_GROUPS = ("palest third", "middle third", "darkest third")
_HEADER = (
    "skin",
    "made by",
    "presence",
    "nearest",
    "`id_sim`",
    "share of the ceiling",
    "swap rate",
)


def skin_thirds(cast: Sequence[CastMember]) -> dict[str, tuple[int, ...]]:
    """Who of the cast belongs to which third by melanin: name of the group to indices."""
    order = sorted(cast, key=lambda member: member.person.spec.skin.melanin)
    parts = np.array_split([member.index for member in order], len(_GROUPS))
    return {
        name: tuple(int(i) for i in part)
        for name, part in zip(_GROUPS, parts, strict=True)
        if len(part)
    }


def table(cast: Sequence[CastMember], truth: Played, played: dict[str, Played]) -> str:
    """A Markdown table: every contender, and real renders, for every third of the cast."""
    rows = [
        [f"{group} (n={len(people)})", name, *_figures(each, truth, people)]
        for group, people in skin_thirds(cast).items()
        for name, each in {**played, "real renders": truth}.items()
    ]
    return tables.markdown(_HEADER, rows)


def _figures(played: Played, truth: Played, people: Collection[int]) -> list[str]:
    own, real = _of(played, people), _of(truth, people)
    estimates = (
        average(own, "presence"),
        average(own, "nearest"),
        average(own, "id_sim"),
        share(own, real, "id_sim"),
        average(own, "swap_rate"),
    )
    return [tables.NOTHING if each is None else each.interval for each in estimates]


def _of(played: Played, people: Collection[int]) -> tuple[Score, ...]:
    return tuple(score for score in played.scores if score.person in people)
