"""The article's claims about identity, each put to the test on the model at hand.

A claim is a handful of arms (ways to make the same scenes) and comparisons between two of them on
one measure, person by person. It holds where the whole interval of the difference is on its side,
is contradicted where it is on the other, and is not shown otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from idvid.bench.measures import (
    BLEED,
    DRIFT,
    EXPRESSION,
    FOLLOWING,
    LIKENESS,
    NEAREST,
    PRESENCE,
    SWAP,
    TEMPORAL,
    Measure,
)
from idvid.bench.play import Variant
from idvid.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from idvid.bench.photos import PhotoChoice
    from idvid.bench.play import Asking, Played
    from idvid.bench.statistics import Estimate
    from idvid.config import GenerationSettings

STRENGTHS = (0.0, 0.25, 0.5, 0.8, 1.0, 1.25, 1.5)
HOLDS, CONTRADICTED, NOT_SHOWN = "holds", "contradicted", "not shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to make the scenes."""

    name: str
    variant: Variant
    is_rival: bool = False  # made by the other model


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`better` is claimed to beat `worse` in a measure; both are names of arms."""

    better: str
    worse: str
    measure: Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is claimed, and how it is tested."""

    name: str  # one word or two, for files and figures
    says: str
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...]
    shown: tuple[Measure, ...] = field(default=(LIKENESS, NEAREST, PRESENCE))  # in its figure


def verdict(gain: Estimate | None) -> str:
    """What a difference says about the claim that it is above 0."""
    if gain is None or not gain.excludes_zero:
        return NOT_SHOWN
    return HOLDS if gain.value > 0 else CONTRADICTED


def sweet_spot(arms: Mapping[str, Played], truth: Played) -> str:
    """The arm with the largest product of likeness, expression and prompt following.

    Likeness and expression are shares of real renders' and count at most 1; what was not measured,
    or nobody was found for, counts as 0, but following that no arm has is left out.
    """

    def score(played: Played) -> float:
        values = {m: m.of(played, truth) for m in (LIKENESS, EXPRESSION, FOLLOWING)}
        if not any(s.following is not None for other in arms.values() for s in other.scores):
            del values[FOLLOWING]
        product = 1.0
        for estimate in values.values():
            product *= 0.0 if estimate is None else min(max(estimate.value, 0.0), 1.0)
        return product

    return max(arms, key=lambda name: score(arms[name]))


def claims(settings: GenerationSettings, *, has_rival: bool) -> tuple[Claim, ...]:
    """All claims, around the given settings; the one on training needs a rival model."""
    usual = Variant(asking="plain", settings=settings)
    every = (
        _references(usual),
        _strength(usual),
        _switch(usual, "separators", "a separator after each character keeps people apart"),
        _switch(usual, "slots", "slot embeddings keep people apart"),
        _switch(usual, "regions", "face masks keep people apart"),
        _switch(
            usual,
            "anchors",
            "references laid on the face plan make faces alike",
            (LIKENESS, NEAREST, PRESENCE),
        ),
        _switch(
            usual,
            "reenactment",
            "turning and moving the photos' faces as planned shows expressions, faces stay alike",
            (EXPRESSION, FOLLOWING, LIKENESS, NEAREST),
        ),
        _switch(
            _with(usual, parts={"reenactment": False}),  # only cut-outs are re-enacted
            "matte",
            "cutting people out of their photos leaves the place to the prompt and faces alike",
            (FOLLOWING, LIKENESS, NEAREST),
        ),
        _descriptions(usual),
        _photos(usual),
    )
    return (*every, _training(usual)) if has_rival else every


def chosen(every: tuple[Claim, ...], names: Collection[str]) -> tuple[Claim, ...]:
    """The claims of these names; all of them where there are none.

    Raises:
        InputError: a claim is not among them.
    """
    known = [claim.name for claim in every]
    for name in names:
        if name not in known:
            raise InputError(
                f"There is no claim '{name}' here; choose among {', '.join(known)}, and give "
                "--against a model for 'training'."
            )
    return tuple(claim for claim in every if not names or claim.name in names)


def _references(usual: Variant) -> Claim:
    counts: tuple[PhotoChoice, ...] = ("one", "two", "three", "five", "eight")
    apart = [Arm(name=name, variant=_with(usual, photos=name)) for name in counts]
    pooled = [
        Arm(
            name=f"{name}, averaged",
            variant=_with(usual, photos=name, parts={"separate_references": False}),
        )
        for name in counts[1:]
    ]
    pairs = [("eight", "one"), ("three", "one"), ("three", "three, averaged")]
    pairs.append(("eight", "eight, averaged"))
    return Claim(
        name="references",
        says="more photos help, and kept apart they help more than averaged",
        arms=(*apart, *pooled),
        comparisons=tuple(
            Comparison(better=a, worse=b, measure=m) for a, b in pairs for m in (LIKENESS, NEAREST)
        ),
    )


def _strength(usual: Variant) -> Claim:
    arms = tuple(Arm(name=f"{s:g}", variant=_with(usual, strength=s)) for s in STRENGTHS)
    return Claim(
        name="strength",
        says="strength buys likeness and costs expression and obedience",
        arms=arms,
        comparisons=(
            Comparison(better="0.8", worse="0", measure=PRESENCE),
            Comparison(better="0.8", worse="0.25", measure=LIKENESS),
            Comparison(better="1", worse="0.8", measure=LIKENESS),
            Comparison(better="1.5", worse="1", measure=LIKENESS),
            Comparison(better="0.25", worse="1.5", measure=EXPRESSION),
            Comparison(better="0.25", worse="1.5", measure=FOLLOWING),
        ),
        shown=(LIKENESS, EXPRESSION, FOLLOWING),
    )


def _switch(
    usual: Variant, part: str, says: str, measures: tuple[Measure, ...] = (*BLEED, *SWAP)
) -> Claim:
    """A part of the identity stack on, and off."""
    return Claim(
        name=part,
        says=says,
        arms=(
            Arm(name="on", variant=usual),
            Arm(name="off", variant=_with(usual, parts={part: False})),
        ),
        comparisons=tuple(Comparison(better="on", worse="off", measure=m) for m in measures),
        shown=measures,
    )


def _descriptions(usual: Variant) -> Claim:
    return Claim(
        name="descriptions",
        says="describing people in the prompt helps",
        arms=(
            Arm(name="described", variant=_with(usual, asking="described")),
            Arm(name="not described", variant=usual),
        ),
        comparisons=tuple(
            Comparison(better="described", worse="not described", measure=measure)
            for measure in (LIKENESS, NEAREST)
        ),
    )


def _photos(usual: Variant) -> Claim:
    kinds: dict[str, PhotoChoice] = {
        "good": "three",
        "dark": "dark",
        "blurred": "blurred",
        "small": "small",
        "one angle": "one_angle",
        "several angles": "several_angles",
    }
    pairs = [("good", bad) for bad in ("dark", "blurred", "small")]
    pairs.append(("several angles", "one angle"))
    return Claim(
        name="photos",
        says="good photos from several angles help",
        arms=tuple(Arm(name=k, variant=_with(usual, photos=v)) for k, v in kinds.items()),
        comparisons=tuple(Comparison(better=a, worse=b, measure=LIKENESS) for a, b in pairs),
    )


def _training(usual: Variant) -> Claim:
    measures = (LIKENESS, NEAREST, PRESENCE, DRIFT, TEMPORAL, EXPRESSION)
    return Claim(
        name="training",
        says="the model is better for how it was trained than its rival",
        arms=(
            Arm(name="this model", variant=usual),
            Arm(name="its rival", variant=usual, is_rival=True),
        ),
        comparisons=tuple(
            Comparison(better="this model", worse="its rival", measure=m) for m in measures
        ),
        shown=measures,
    )


def _with(
    usual: Variant,
    *,
    photos: PhotoChoice | None = None,
    asking: Asking | None = None,
    strength: float | None = None,
    parts: Mapping[str, bool] | None = None,
) -> Variant:
    """The usual variant but for what is named."""
    settings = usual.settings
    changed = replace(
        settings,
        identity_strength=settings.identity_strength if strength is None else strength,
        parts=replace(settings.parts, **(parts or {})),
    )
    return replace(
        usual, photos=photos or usual.photos, asking=asking or usual.asking, settings=changed
    )
