"""Estimates over people with their uncertainty: the bootstrap. Knows no face and no video.

People are what a benchmark draws at random, so people are what is resampled: a person's values are
averaged first, however many scenes and seeds that person was in. Everything is a ratio of means,
`sum(over) / sum(under)`; a plain mean has `under = 1`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    PerPerson = Mapping[int, float]

RESAMPLES = 2000
LEVEL = 0.95  # share of the resampled estimates between `low` and `high`


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number and the interval that resampling the people gives it."""

    value: float
    low: float
    high: float
    people: int  # that it rests on

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0

    @property
    def interval(self) -> str:
        """Value and interval, for tables that say elsewhere how many people there are."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def __str__(self) -> str:
        """Value, interval and number of people, as tables show them."""
        return f"{self.interval} n={self.people}"


def per_person(values: Iterable[tuple[int, float | None]]) -> dict[int, float]:
    """Mean of each person's values; None enters no mean, and a person with nothing else is absent."""
    known: dict[int, list[float]] = defaultdict(list)
    for person, value in values:
        if value is not None:
            known[person].append(value)
    return {person: float(np.mean(own)) for person, own in known.items()}


def mean(values: PerPerson) -> Estimate | None:
    """Mean over people; None without any."""
    return ratio(values, dict.fromkeys(values, 1.0))


def ratio(over: PerPerson, under: PerPerson) -> Estimate | None:
    """`sum(over) / sum(under)` over the people who have both; None without any."""
    people = sorted(set(over) & set(under))
    if not people:
        return None
    top, bottom = _column(over, people), _column(under, people)
    return _estimate(lambda i: top[i].sum(-1) / _nonzero(bottom[i].sum(-1)), len(people))


def difference(first: PerPerson, second: PerPerson) -> Estimate | None:
    """Mean of `first - second`, person by person; None if nobody has both."""
    people = sorted(set(first) & set(second))
    return mean({person: first[person] - second[person] for person in people})


def _column(values: PerPerson, people: list[int]) -> NDArray[np.float64]:
    return np.array([values[person] for person in people], dtype=np.float64)


def _nonzero(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(sums) < 1e-9, np.nan, sums)


def _estimate(
    statistic: Callable[[NDArray[np.intp]], NDArray[np.float64]], count: int
) -> Estimate | None:
    """Percentile bootstrap (Efron 1979) with draws that depend on nothing but the count."""
    draws = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    value = float(statistic(np.arange(count)))
    if not np.isfinite(value):
        return None
    tails = (50 * (1 - LEVEL), 50 * (1 + LEVEL))
    low, high = np.nanpercentile(statistic(draws), tails)
    return Estimate(value=value, low=float(low), high=float(high), people=count)
