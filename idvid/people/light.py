"""The light of a scene: a few named kinds, varied, and the exposure that keeps faces unburnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from idvid.people.shading import Rig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    Pair = tuple[float, float]
    Triple = tuple[float, float, float]

FACE_TARGET = 0.50  # linear brightness aimed at for the lit side of faces
FACE_LIMIT = 0.92  # never more than this before the tone curve, for the palest person
ADAPTATION = 0.55  # how far exposure follows the people's skin; 1 would make all equally bright


class LightKind(NamedTuple):
    """Ranges of one kind of light."""

    key: Pair
    sky: Pair
    warmth: Pair  # mean and spread; positive is warm
    sky_warmth: float
    height: Pair  # of the key light, radians
    turn: Pair  # least and most angle of the key light from the front
    rim: Pair
    brightness: float


# fmt: off
LIGHT_KINDS = {
    # key, sky, warmth, sky's warmth, height, turn, rim, brightness
    "soft": LightKind((0.55, 0.9), (0.45, 0.65), (0.02, 0.04), 0.0, (0.3, 0.9), (0.1, 0.8), (0.1, 0.3), 1.0),
    "sunny": LightKind((1.3, 1.7), (0.35, 0.5), (0.08, 0.03), -0.08, (0.45, 0.9), (0.3, 1.0), (0.2, 0.7), 1.08),
    "warm": LightKind((0.9, 1.3), (0.28, 0.4), (0.22, 0.04), 0.1, (0.1, 0.6), (0.3, 1.0), (0.1, 0.5), 0.92),
    "cool": LightKind((0.7, 1.1), (0.4, 0.55), (-0.1, 0.03), -0.1, (0.3, 0.9), (0.2, 0.9), (0.1, 0.4), 0.95),
    "window": LightKind((1.2, 1.5), (0.24, 0.34), (0.0, 0.04), 0.02, (0.15, 0.5), (0.8, 1.2), (0.05, 0.3), 0.98),
    "evening": LightKind((0.7, 1.0), (0.22, 0.32), (0.14, 0.08), -0.12, (0.05, 0.4), (0.4, 1.1), (0.5, 1.0), 0.66),
}
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class LightSpec:
    """The light of a scene; rows are key, fill and rim."""

    kind: str  # key of LIGHT_KINDS
    side: str  # "left" or "right": where the key light stands in the picture
    directions: tuple[Triple, Triple, Triple]  # towards the lights
    colours: tuple[Triple, Triple, Triple]
    ambient: tuple[Triple, Triple, Triple]  # from sky, ground and front
    brightness: float


def sample_light(rng: Generator, kinds: Sequence[str] = tuple(LIGHT_KINDS)) -> LightSpec:
    """A light of one of the kinds."""
    name = kinds[int(rng.integers(len(kinds)))]
    kind = LIGHT_KINDS[name]
    sign = float(rng.choice([-1, 1]))
    around, up = sign * rng.uniform(*kind.turn), rng.uniform(*kind.height)
    fill, back = -sign * rng.uniform(0.4, 1.2), rng.uniform(2.3, 3.9)
    ways = [
        (np.sin(around) * np.cos(up), np.sin(up), np.cos(around) * np.cos(up)),
        (np.sin(fill) * 0.95, 0.15, np.cos(fill) * 0.95),
        (np.sin(back), 0.45, np.cos(back)),
    ]
    warmth = rng.normal(*kind.warmth)
    sky = rng.uniform(*kind.sky)
    colours = [
        _tint(warmth) * rng.uniform(*kind.key),
        _tint(warmth * 0.5 + rng.normal(0, 0.04)) * rng.uniform(0.15, 0.45),
        _tint(rng.normal(0, 0.10)) * rng.uniform(*kind.rim),
    ]
    ambient = [
        _tint(kind.sky_warmth + rng.normal(0, 0.03)) * sky,
        _tint(0.06 + rng.normal(0, 0.03)) * sky * 0.5,
        _tint(rng.normal(0, 0.03)) * rng.uniform(0.08, 0.22),
    ]
    return LightSpec(
        kind=name,
        side="right" if sign > 0 else "left",
        directions=_rows([np.asarray(way) / np.linalg.norm(way) for way in ways]),
        colours=_rows(colours),
        ambient=_rows(ambient),
        brightness=float(kind.brightness * rng.uniform(0.92, 1.08)),
    )


def _tint(warmth: float) -> NDArray:
    return np.array([1 + warmth, 1, 1 - warmth])


def _rows(values: Sequence[NDArray]) -> tuple[Triple, Triple, Triple]:
    first, second, third = ((float(row[0]), float(row[1]), float(row[2])) for row in values)
    return (first, second, third)


def make_rig(light: LightSpec, tones: Sequence[NDArray], eye: NDArray) -> Rig:
    """The lights for the kernels, exposed for the people's skin.

    Args:
        light: the light.
        tones: mean skin colours (3,) of the people.
        eye: (3,) place of the camera.
    """
    colours, ambient = np.array(light.colours), np.array(light.ambient)
    reaching = colours[0] + 0.4 * colours[1] + 0.6 * ambient[0] + 0.3 * ambient[1] + ambient[2]
    faces = np.array([tone * reaching for tone in tones])  # (people, 3)
    exposure = (FACE_TARGET / faces.mean(1).mean()) ** ADAPTATION
    exposure = min(exposure * light.brightness, FACE_LIMIT / float(faces.max()), 2.2)
    return Rig(
        directions=np.array(light.directions, np.float32),
        colours=colours.astype(np.float32),
        ambient=ambient.astype(np.float32),
        exposure=float(exposure),
        eye=np.asarray(eye, np.float32),
    )
