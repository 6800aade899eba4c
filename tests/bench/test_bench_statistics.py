"""The bootstrap over people, and what counts as one person's value."""

import numpy as np
import pytest

from idvid.bench.statistics import difference, mean, per_person, ratio


def test_a_person_counts_once_however_often_seen_and_none_is_left_out():
    values = per_person([(1, 0.0), (1, 1.0), (1, None), (2, 1.0), (3, None)])
    assert values == {1: 0.5, 2: 1.0}
    assert mean(values).value == 0.75
    assert mean(values).people == 2
    assert mean({}) is None


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng, hits = np.random.default_rng(1), 0
    for _ in range(200):
        found = mean(dict(enumerate(rng.normal(3.0, 1.0, 30))))
        hits += found.low <= 3.0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_the_interval_shrinks_with_people_and_vanishes_without_spread():
    rng = np.random.default_rng(2)
    few, many = (mean(dict(enumerate(rng.normal(size=n)))) for n in (10, 1000))
    assert many.high - many.low < 0.3 * (few.high - few.low)
    still = mean(dict.fromkeys(range(5), 0.4))
    assert (still.low, still.high) == pytest.approx((0.4, 0.4))


def test_a_ratio_is_of_sums_over_those_who_have_both():
    found = ratio({1: 1.0, 2: 3.0, 3: 100.0}, {1: 2.0, 2: 6.0, 4: 1.0})
    assert found.value == pytest.approx(0.5)
    assert found.people == 2
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))  # everybody has the same ratio
    assert ratio({1: 1.0}, {1: 0.0}) is None


def test_a_difference_pairs_people_so_that_their_own_level_cancels():
    base = {person: float(person) for person in range(20)}
    better = {person: value + 0.1 for person, value in base.items()}
    found = difference(better, base)
    assert found.value == pytest.approx(0.1)
    assert found.excludes_zero
    assert not difference(base, base).excludes_zero
