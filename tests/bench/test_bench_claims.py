"""Claims: what is compared, and what the numbers are taken to say."""

from dataclasses import replace

import pytest

from idvid.bench.claims import (
    CONTRADICTED,
    HOLDS,
    NOT_SHOWN,
    STRENGTHS,
    claims,
    sweet_spot,
    verdict,
)
from idvid.bench.claims_figure import draw
from idvid.bench.measures import BLEED, LIKENESS, SWAP
from idvid.bench.play import Played
from idvid.bench.trial import Trial
from idvid.bench.watch import Score
from idvid.config import GenerationSettings

EMPTY = dict.fromkeys(
    ("id_sim", "nearest", "drift_15", "temporal", "swap_rate", "bleed", "expression")
)


def played(people=6, cast=2, wobble=0.0, **fields):
    """Everybody scores the same, give or take."""
    scores = []
    for person in range(people):
        sign = 1 if person % 2 else -1
        values = {name: value + sign * wobble for name, value in fields.items()}
        scores.append(Score(person=person, cast=cast, **{"presence": 1.0, **EMPTY, **values}))
    return Played(scores=tuple(scores), seconds=1.0, video_seconds=1.0)


def test_a_gain_is_positive_where_the_claim_holds_whichever_side_is_good():
    assert LIKENESS.gain(played(id_sim=0.6), played(id_sim=0.5)).value == pytest.approx(0.1)
    low, high = played(swap_rate=0.0), played(swap_rate=0.2)
    assert SWAP[0].gain(low, high).value == pytest.approx(0.2)
    assert SWAP[1].gain(low, high) is None  # nobody was in a scene of three
    three = played(cast=3, bleed=0.1)
    assert BLEED[1].of(three, three).value == pytest.approx(0.1)


def test_a_claim_holds_only_where_the_interval_leaves_zero():
    even = played(id_sim=0.5)
    assert verdict(LIKENESS.gain(played(id_sim=0.6), even)) == HOLDS
    assert verdict(LIKENESS.gain(played(id_sim=0.4), even)) == CONTRADICTED
    assert verdict(LIKENESS.gain(played(id_sim=0.51, wobble=0.2), even)) == NOT_SHOWN
    assert verdict(LIKENESS.gain(played(), even)) == NOT_SHOWN  # nobody was found


def test_the_sweet_spot_weighs_likeness_against_expression_and_obedience():
    truth = played(id_sim=0.8, expression=0.3)
    arms = {
        "weak": played(id_sim=0.1, expression=0.3),
        "middle": played(id_sim=0.6, expression=0.24),
        "strong": played(id_sim=0.7, expression=0.06),
        "nobody": played(),
    }
    assert sweet_spot(arms, truth) == "middle"
    follows = {"weak": 0.9, "middle": 0.1, "strong": 0.9, "nobody": 0.0}
    obedient = {
        name: replace(
            arm, scores=tuple(replace(score, following=follows[name]) for score in arm.scores)
        )
        for name, arm in arms.items()
    }
    assert sweet_spot(obedient, truth) == "strong"


def test_the_claims_cover_the_issue_and_name_only_arms_that_they_have():
    every = {claim.name: claim for claim in claims(GenerationSettings(), has_rival=True)}
    assert "training" in every
    assert "training" not in {c.name for c in claims(GenerationSettings(), has_rival=False)}
    for claim in every.values():
        names = [arm.name for arm in claim.arms]
        assert len(set(names)) == len(names)
        for comparison in claim.comparisons:
            assert {comparison.better, comparison.worse} <= set(names)
            assert comparison.better != comparison.worse
    strengths = [a.variant.settings.identity_strength for a in every["strength"].arms]
    assert tuple(strengths) == STRENGTHS
    for part in ("separators", "slots", "regions", "anchors", "reenactment", "matte"):
        on, off = (arm.variant.settings.parts for arm in every[part].arms)
        assert replace(off, **{part: True}) == on != off
    photos = [arm.variant.photos for arm in every["references"].arms]
    assert photos == ["one", "two", "three", "five", "eight", "two", "three", "five", "eight"]
    apart = [a.variant.settings.parts.separate_references for a in every["references"].arms]
    assert apart == [True] * 5 + [False] * 4


def test_arms_made_the_same_way_are_one_and_the_same():
    every = claims(GenerationSettings(), has_rival=False)
    variants = [arm.variant for claim in every for arm in claim.arms]
    assert len(variants) == 36
    assert len(set(variants)) == 27  # three photos at 1 with everything on is in every claim


def test_the_figure_shows_every_claim(tmp_path):
    truth = played(id_sim=0.8, expression=0.3)
    trials = []
    for claim in claims(GenerationSettings(), has_rival=False):
        arms = {arm.name: played(id_sim=0.5, expression=0.2, wobble=0.1) for arm in claim.arms}
        arms[claim.arms[-1].name] = played()
        trials.append(Trial(claim=claim, played=arms))
    findings = [finding for trial in trials for finding in trial.findings()]
    assert len(findings) == sum(len(trial.claim.comparisons) for trial in trials)
    draw(trials, truth, "0.8", tmp_path / "claims.png")
    assert (tmp_path / "claims.png").stat().st_size > 20_000
