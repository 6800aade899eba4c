"""A person from a seed. Owns every distribution; the values themselves are in `spec`."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from idvid.people import odds
from idvid.people import spec as sp
from idvid.people.assets import load_asset
from idvid.people.seeds import stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

SHAPE_STRENGTH = 0.62  # caricature: 0 everybody alike, 1 extreme
REGION_SPREAD = {
    "nose": 0.52,
    "mouth": 0.40,
    "eyes": 0.40,
    "chin": 0.45,
    "cheek": 0.45,
    "eyebrows": 0.40,
    "forehead": 0.45,
    "head": 0.25,
    "ears": 0.35,
    "neck": 0.2,
}
UNUSED_SHAPES = ("head-trans", "neck-trans", "mouth-trans-in", "nose-trans-in", "head-angle")
OPPOSITES = (
    ("incr", "decr"),
    ("up", "down"),
    ("out", "in"),
    ("forward", "backward"),
    ("convex", "concave"),
    ("uncompress", "compress"),
    ("round", "square"),
    ("triangle", "pointed"),
)
# Faces at rest should look at ease, so a few sliders lean towards the friendlier side.
SLIDER_LEAN = {"eyebrows-angle": -0.10, "mouth-angles": 0.22}
SLIDER_FLOOR = {"mouth-scale": -0.25, "eye-scale": -0.4, "eye-height": -0.4, "mouth-angles": -0.12}
SLIDER_CEILING = {"eyebrows-angle": 0.1}
HEAD_SHAPES = (
    "oval",
    "round",
    "rectangular",
    "square",
    "triangular",
    "invertedtriangular",
    "diamond",
)


def sample_person(seed: int) -> sp.PersonSpec:
    """The person of a seed.

    Raises:
        SeedError: outside 0..999,999.
    """
    rng = stream(seed, 1)
    man = rng.random() < 0.5
    masculinity = float(np.clip((0.95 if man else 0.05) + rng.normal(0, 0.06), 0, 1))
    age = float(rng.beta(1.1, 2.0))
    ancestry = rng.dirichlet([0.45, 0.45, 0.45])
    brow_colour = pick_weighted(rng, odds.NATURAL_HAIR, ancestry @ np.array(odds.HAIR_BY_ANCESTRY))
    beard = pick_weighted(rng, sp.BEARDS, odds.BEARD_ODDS) if man else "none"
    return sp.PersonSpec(
        seed=seed,
        masculinity=masculinity,
        age=age,
        ancestry=_triple(ancestry),
        muscle=float(np.clip(rng.normal(0.5 + 0.15 * man, 0.25), 0, 1)),
        weight=float(np.clip(rng.normal(0.5, 0.28), 0, 1)),
        shape=_sample_shape(stream(seed, 2)),
        skin=_sample_skin(stream(seed, 3), ancestry, age),
        brows=_sample_brows(stream(seed, 4), brow_colour, man),
        eyes=_sample_eyes(stream(seed, 5), ancestry),
        makeup=_sample_makeup(stream(seed, 6), man),
        hair=_sample_hair(stream(seed, 7), brow_colour, age, man),
        beard=beard,
        glasses=_sample_glasses(stream(seed, 8)),
        clothes=_sample_clothes(stream(seed, 9)),
    )


def pick_weighted(rng: Generator, names: Sequence[str], weights: Sequence[float] | NDArray) -> str:
    """One of the names, with odds proportional to the weights."""
    shares = np.asarray(weights, float)
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]


def _triple(values: Sequence[float] | NDArray) -> sp.Colour:
    return (float(values[0]), float(values[1]), float(values[2]))


@lru_cache(maxsize=1)
def _sliders() -> tuple[tuple[str, str, str | None, str | None], ...]:
    """(region, slider, target of positive values, target of negative values), sorted."""
    ends: dict[tuple[str, str], dict[int, str]] = {}
    for name in load_asset().local_targets:
        _, region, what = name.split(":")
        if region == "asym" or what.startswith(("measure", *UNUSED_SHAPES)):
            continue
        for plus, minus in OPPOSITES:
            for side, ending in enumerate((plus, minus)):
                if what.endswith("-" + ending):
                    ends.setdefault((region, what[: -len(ending) - 1]), {})[side] = name
    return tuple((r, w, e.get(0), e.get(1)) for (r, w), e in sorted(ends.items()))


def _slider_value(rng: Generator, region: str, slider: str) -> float:
    value = float(np.clip(rng.normal(0, REGION_SPREAD[region] * SHAPE_STRENGTH), -1.1, 1.1))
    value += SLIDER_LEAN.get(slider, 0.0)
    floor = max((v for k, v in SLIDER_FLOOR.items() if slider.startswith(k)), default=-1.1)
    ceiling = min((v for k, v in SLIDER_CEILING.items() if slider.startswith(k)), default=1.1)
    return float(np.clip(value, floor, ceiling))


def _sample_shape(rng: Generator) -> tuple[tuple[str, float], ...]:
    shape: dict[str, float] = {}
    both_sides: dict[str, float] = {}
    for region, slider, plus, minus in _sliders():
        is_sided = slider[:2] in ("l-", "r-")
        key = slider[2:] if is_sided else slider
        if key not in both_sides:
            both_sides[key] = _slider_value(rng, region, key)
        value = both_sides[key] + (rng.normal(0, 0.05) if is_sided else 0.0)
        target = plus if value > 0 else minus
        if target is not None:
            shape[target] = abs(float(value))
    for name in load_asset().local_targets:
        if name.startswith("L:asym:asym-") and rng.random() < 0.25:
            shape[name] = abs(float(rng.normal(0, 0.30))) * SHAPE_STRENGTH
    head = HEAD_SHAPES[rng.integers(len(HEAD_SHAPES))]
    shape[f"L:head:head-{head}"] = float(rng.uniform(0.2, 0.9)) * SHAPE_STRENGTH
    return tuple(sorted(shape.items()))


def _sample_skin(rng: Generator, ancestry: NDArray, age: float) -> sp.SkinSpec:
    mean = 0.10 * ancestry[0] + 0.72 * ancestry[1] + 0.30 * ancestry[2]
    melanin = float(np.clip(mean + rng.normal(0, 0.13), 0, 1))
    return sp.SkinSpec(
        melanin=melanin,
        redness=float(rng.normal()),
        yellowness=float(rng.normal(0.3 * ancestry[2], 1)),
        brightness=float(rng.normal(0, 0.06)),
        blotchiness=float(rng.uniform(0.2, 1)),
        freckles=float(np.clip(rng.normal(-0.4, 0.8), 0, 1)) * (melanin < 0.45),
        moles=int(rng.integers(0, 5)),
        scar=bool(rng.random() < 0.08),
        blush=float(rng.uniform(0, 0.8)),
        eye_bags=float(np.clip(rng.normal(0.25 + 0.4 * age, 0.22), 0, 1)),
        roughness=float(rng.uniform(0.8, 1.25)),
        oiliness=float(rng.uniform(0.4, 1.1)),
        seed=int(rng.integers(1 << 20)),
    )


def _sample_brows(rng: Generator, colour: str, man: bool) -> sp.BrowSpec:
    return sp.BrowSpec(
        colour=colour,
        thickness=float(rng.uniform(0.026, 0.058) * (1.12 if man else 0.82)),
        height=float(rng.normal(0.01, 0.03)),
        arch=float(rng.uniform(0.0, 0.035)),
        slope=float(np.clip(rng.normal(-0.016, 0.022), -0.07, 0.02)),
        density=float(rng.uniform(0.55, 1)),
        inner=float(rng.uniform(0.10, 0.17)),
        outer=float(rng.uniform(0.5, 0.62)),
    )


def _sample_eyes(rng: Generator, ancestry: NDArray) -> sp.EyeSpec:
    weights = ancestry[0] * np.array(odds.IRIS_LIGHT) + (1 - ancestry[0]) * np.array(odds.IRIS_DARK)
    base = np.array(odds.IRIS_COLOURS[rng.choice(len(weights), p=weights / weights.sum())])
    return sp.EyeSpec(
        iris=_triple(base * np.exp(rng.normal(0, 0.2, 3))),
        pupil_angle=float(rng.uniform(0.13, 0.21)),
        iris_angle=float(rng.uniform(0.42, 0.50)),
    )


def _sample_makeup(rng: Generator, man: bool) -> sp.MakeupSpec:
    lipstick = float((rng.random() < 0.45) * rng.uniform(0.4, 1))
    shadow = float((rng.random() < 0.4) * rng.uniform(0.3, 0.9))
    liner = float(rng.uniform(0.2, 1))
    return sp.MakeupSpec(
        lip_tint=_triple(rng.normal(0, 1, 3)),
        lipstick=0.0 if man else lipstick,
        lipstick_colour=odds.LIPSTICKS[rng.integers(len(odds.LIPSTICKS))],
        eyeshadow=0.0 if man else shadow,
        eyeshadow_colour=odds.EYESHADOWS[rng.integers(len(odds.EYESHADOWS))],
        eyeliner=0.0 if man else liner,
    )


def _sample_hair(rng: Generator, natural: str, age: float, man: bool) -> sp.HairSpec:
    dice, grey, dyed = rng.random(), rng.integers(2), rng.integers(len(odds.DYED_HAIR))
    colour = natural
    if age > 0.55 and dice < age:
        colour = ("grey", "white")[grey]
    elif dice > 0.91:
        colour = odds.DYED_HAIR[dyed]
    styles = odds.STYLES_OF_MEN if man else odds.STYLES_OF_WOMEN
    return sp.HairSpec(
        style=pick_weighted(rng, tuple(styles), tuple(styles.values())),
        colour=colour,
        brightness=float(np.exp(rng.normal(0, 0.2))),
        volume=float(rng.uniform(0.6, 1.4)),
        parting=float(rng.choice([-1, 1]) * rng.uniform(0.15, 0.5)),
        line=float(rng.normal(0, 0.08)),
        recession=float(np.clip(rng.normal(-0.1 + 0.4 * age, 0.35), 0, 1)) if man else 0.0,
        length=float(rng.uniform(0.7, 1.4)),
        fringe=float(rng.uniform(0, 1)),
        seed=int(rng.integers(1 << 20)),
    )


def _sample_glasses(rng: Generator) -> sp.GlassesSpec | None:
    wears, frame = rng.random() < 0.24, sp.FRAMES[rng.integers(len(sp.FRAMES))]
    colour = tuple(sp.FRAME_COLOURS)[rng.integers(len(sp.FRAME_COLOURS))]
    return sp.GlassesSpec(frame=frame, colour=colour) if wears else None


def sample_other_clothes(rng: Generator, worn: sp.ClothesSpec) -> sp.ClothesSpec:
    """Clothes that nobody takes for those worn: of another colour, two times in three cut alike."""
    others = [name for name in sp.CLOTH_COLOURS if name not in (worn.colour, worn.second_colour)]
    first, second = rng.choice(len(others), 2, replace=False)
    drawn = _sample_clothes(rng)
    is_alike = rng.random() < 2 / 3
    return replace(
        drawn,
        colour=others[first],
        second_colour=others[second],
        neckline=worn.neckline if is_alike else drawn.neckline,
    )


def _sample_clothes(rng: Generator) -> sp.ClothesSpec:
    first, second = rng.choice(len(sp.CLOTH_COLOURS), 2, replace=False)
    names = tuple(sp.CLOTH_COLOURS)
    return sp.ClothesSpec(
        colour=names[first],
        second_colour=names[second],
        shade=float(rng.uniform(0.8, 1.12)),
        pattern=pick_weighted(rng, sp.PATTERNS, (0.4, 0.2, 0.12, 0.14, 0.14)),
        neckline=int(rng.choice(4, p=[0.4, 0.22, 0.2, 0.18])),
    )
