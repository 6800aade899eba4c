"""What captions say of walks, of things in front and of the camera; and how a phrasing is picked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idvid.people import phrases as ph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator

    from idvid.people.events import Walk
    from idvid.people.scene import SceneSpec


def pick(rng: Generator | None, options: Sequence[str]) -> str:
    """One of the options; the first without a generator."""
    return options[0] if rng is None else options[int(rng.integers(len(options)))]


def walking(rng: Generator, walk: Walk, handles: Sequence[str]) -> str:
    """Where somebody goes, as a phrase of verbs."""
    other = handles[walk.other] if walk.other is not None else ""
    return pick(rng, ph.WALKS[walk.kind]).format(side=walk.side, other=other)


def event_sentences(rng: Generator, scene: SceneSpec, handles: Sequence[str]) -> list[str]:
    """What stands in front of somebody, and what the camera does, in that order."""
    thing, camera, sentences = scene.foreground, scene.camera, []
    if thing is not None:
        names = {"thing": pick(rng, ph.FOREGROUNDS[thing.kind]), "name": handles[thing.actor]}
        sentences.append(pick(rng, ph.IN_FRONT).format(**names))
    if camera.shake is not None and rng.random() < 0.7:
        sentences.append(pick(rng, ph.SHAKES))
    if camera.move != "still":
        sentences.append(pick(rng, ph.CAMERA_MOVES[camera.move]))
    if camera.cut is not None:
        view = pick(rng, ph.CUTS[camera.cut.view])
        sentences.append(view.format(name=handles[camera.cut.actor]))
    return sentences
