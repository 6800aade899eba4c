"""One clip before the judge: what each person in it scores. Knows no generator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from idvid.faces.assign import similarity_to_galleries
from idvid.metrics.report import DriftMeter
from idvid.metrics.sharpness import edge_strength

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from idvid.bench.scenes import BenchScene
    from idvid.metrics.places import Sighting
    from idvid.types import CharacterDrift, Clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one person scores in one clip; None where the judge never found the face."""

    person: int  # among the cast
    cast: int  # people in the scene
    presence: float  # 0..1
    id_sim: float | None  # mean over found frames, against held-out photos
    nearest: float | None  # share of found frames nearest to this person among the whole cast
    drift_15: float | None
    temporal: float | None  # mean squared embedding distance of neighbouring frames
    swap_rate: float | None
    bleed: float | None
    expression: float | None  # expression range
    edges: float | None = None  # of the whole clip, see `edge_strength`
    following: float | None = None  # share of what the prompt asks of this person that is seen


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watched:
    """A clip and what the judge saw in it."""

    clip: Clip
    scores: tuple[Score, ...]  # per person of the scene, from left to right as asked for
    faces: tuple[tuple[Sighting | None, ...], ...]  # (C, T) the face at each person's place


def watch(scene: BenchScene, clip: Clip, galleries: Sequence[NDArray[np.float32]]) -> Watched:
    """Judge a clip of a scene.

    Args:
        scene: who is expected.
        clip: what was made of it.
        galleries: the held-out vectors of the whole cast, for `nearest`.
    """
    meter = DriftMeter(scene.held_out(), clip.fps)
    meter.add(clip.frames)
    faces = meter.sightings()
    edges = edge_strength(clip.frames)
    scores = tuple(
        replace(_score(scene, position, drift, faces[position], galleries), edges=edges)
        for position, drift in enumerate(meter.report().characters)
    )
    return Watched(clip=clip, scores=scores, faces=faces)


def _score(
    scene: BenchScene,
    position: int,
    drift: CharacterDrift,
    faces: Sequence[Sighting | None],
    galleries: Sequence[NDArray[np.float32]],
) -> Score:
    person = scene.members[position].index
    return Score(
        person=person,
        cast=len(scene.members),
        presence=drift.presence,
        id_sim=drift.id_sim_mean,
        nearest=nearest_own(faces, galleries, person),
        drift_15=drift.drift_15,
        temporal=drift.temporal,
        swap_rate=drift.swap_rate,
        bleed=drift.bleed,
        expression=drift.expression_range,
    )


def nearest_own(
    faces: Sequence[Sighting | None], galleries: Sequence[NDArray[np.float32]], own: int
) -> float | None:
    """Share of the found faces that are nearest to gallery `own` among all; None without a face."""
    found = [face.embedding for face in faces if face is not None]
    if not found:
        return None
    nearest = similarity_to_galleries(np.stack(found), galleries).argmax(axis=1)
    return float((nearest == own).mean())
