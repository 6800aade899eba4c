"""The numbers that benchmarks print, from scores: each with its interval over people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idvid.bench.statistics import difference, mean, per_person, ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from idvid.bench.statistics import Estimate
    from idvid.bench.watch import Score

    Read = Callable[[Score], float | None]


def by_person(scores: Iterable[Score], read: str, people: int | None = None) -> dict[int, float]:
    """One field per person, in scenes of `people` people or in all."""
    chosen = (score for score in scores if people in (None, score.cast))
    return per_person((score.person, getattr(score, read)) for score in chosen)


def average(scores: Iterable[Score], read: str, people: int | None = None) -> Estimate | None:
    """Mean of a field over people."""
    return mean(by_person(scores, read, people))


def share(scores: Iterable[Score], of: Iterable[Score], read: str) -> Estimate | None:
    """A field as a share of what the same people score in other clips, real renders say."""
    return ratio(by_person(scores, read), by_person(of, read))


def gain(scores: Iterable[Score], over: Iterable[Score], read: str) -> Estimate | None:
    """How much higher a field is than the same people's in other clips."""
    return difference(by_person(scores, read), by_person(over, read))
