"""Attributes read back from a clip: fitted probes, and where faces are. Knows no generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file, save_file

from idvid.bench import crops
from idvid.bench.attributes import (
    PERSON_CLASSES,
    POSITION,
    SCENE_CLASSES,
    asked_of_person,
    asked_of_scene,
)
from idvid.bench.conv_probe import ConvProbe, fit_conv
from idvid.bench.lessons import TALK_FRAMES, render_lessons
from idvid.bench.probe import Probe, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from idvid.bench.scenes import BenchScene
    from idvid.bench.watch import Watched
    from idvid.metrics.places import Sighting

    AnyProbe = Probe | ConvProbe
    Probes = Mapping[str, AnyProbe]
    Faces = Sequence[Sighting | None]
    Where = tuple[Watched, Faces, Sequence[int]]
    Features = Callable[
        [Sequence[NDArray[np.uint8]], Sequence[NDArray[np.float32]]], NDArray[np.float32]
    ]

FIRST_SHARE = 0.12  # of the clip, in which an expression has not changed yet
ACTED_FROM = 0.4  # share of the clip after which an action is under way
BY_NETWORK = ("expression",)  # attributes that linear discriminants read badly
_ARRAYS = ("mean", "weight", "bias")
_FEWEST_FRAMES = 6  # of a head, to say how it moves


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One attribute of one person: what the prompt asks for and what is seen."""

    person: int  # among the cast
    attribute: str
    asked: str
    read: str | None  # None: the face was not found

    @property
    def is_right(self) -> float | None:
        """1.0 or 0.0; None if nothing could be read."""
        return None if self.read is None else float(self.read == self.asked)


def fit_probes(num_frames: int, scale: float = 1.0) -> dict[str, AnyProbe]:
    """Probes of all attributes, fitted on renders of training people."""
    lessons = render_lessons(num_frames, scale)
    return {
        name: (fit_conv if name in BY_NETWORK else fit)(
            np.stack(lessons.features[name]), lessons.labels[name], classes
        )
        for name, classes in (PERSON_CLASSES | SCENE_CLASSES).items()
    }


def save_probes(probes: Probes, path: Path) -> None:
    """Write all probes to one safetensors file; their classes are this module's."""
    arrays = {
        f"{name}/{part}": np.ascontiguousarray(array)
        for name, probe in probes.items()
        for part, array in _arrays(probe).items()
    }
    save_file(arrays, path)


def load_probes(path: Path) -> dict[str, AnyProbe]:
    """The probes that `save_probes` wrote."""
    arrays = load_file(path)
    probes: dict[str, AnyProbe] = {}
    for name, classes in (PERSON_CLASSES | SCENE_CLASSES).items():
        own = {k.split("/", 1)[1]: a for k, a in arrays.items() if k.startswith(f"{name}/")}
        is_net = name in BY_NETWORK
        probes[name] = (
            ConvProbe(classes=classes, weights=own) if is_net else Probe(classes=classes, **own)
        )
    return probes


def _arrays(probe: AnyProbe) -> Mapping[str, NDArray[np.float32]]:
    if isinstance(probe, ConvProbe):
        return probe.weights
    return {part: getattr(probe, part) for part in _ARRAYS}


def answers(probes: Probes, scene: BenchScene, seen: Watched) -> tuple[Answer, ...]:
    """Everything that a scene asks for beside what its clip shows."""
    found: list[Answer] = []
    ranks = _ranks(seen.faces)
    picture = [seen.clip.frames[t] for t in crops.spread(range(len(seen.clip.frames)))]
    place = crops.scene_features(picture)
    shared = {name: probes[name].read(place) for name in SCENE_CLASSES}
    for position, (member, faces) in enumerate(zip(scene.members, seen.faces, strict=True)):
        asked = asked_of_person(member.person.spec, scene.spec, position)
        asked |= {**asked_of_scene(scene.spec), POSITION: str(position)}
        read = {**_read_person(probes, seen, faces), **shared, POSITION: ranks[position]}
        found += [
            Answer(person=member.index, attribute=name, asked=label, read=read[name])
            for name, label in asked.items()
            if label is not None
        ]
    return tuple(found)


def _ranks(faces: Sequence[Faces]) -> list[str | None]:
    """Each person's rank from the left, by the middle of their faces; None unless all are found."""
    middles = [
        np.median([face.landmarks[:, 0].mean() for face in own if face is not None])
        if any(face is not None for face in own)
        else None
        for own in faces
    ]
    if any(middle is None for middle in middles):
        return [None] * len(faces)
    order = np.argsort(np.argsort(np.array(middles, dtype=np.float64)))
    return [str(rank) for rank in order.tolist()]


def _read_person(probes: Probes, seen: Watched, faces: Faces) -> dict[str, str | None]:
    """What the probes say of one person; None where too little was found."""
    count = len(faces)
    early = crops.seen(faces, 0, max(2, round(FIRST_SHARE * count)))
    anywhere = crops.seen(faces)
    late = crops.seen(faces, round(ACTED_FROM * count))
    some = crops.spread(anywhere)
    talk = [late[i : i + TALK_FRAMES] for i in range(0, len(late) - TALK_FRAMES + 1, TALK_FRAMES)]
    return {
        "expression": _read(probes, "expression", crops.face_features, (seen, faces, early)),
        "hair colour": _read(probes, "hair colour", crops.head_features, (seen, faces, some)),
        "hair style": _read(probes, "hair style", crops.head_features, (seen, faces, some)),
        "clothes colour": _read(
            probes, "clothes colour", crops.chest_features, (seen, faces, some)
        ),
        "head": _read_head(probes, faces, anywhere),
        "speech": _read_speech(probes, seen, faces, talk),
    }


def _read(probes: Probes, name: str, features: Features, where: Where) -> str | None:
    seen, faces, frames = where
    if not frames:
        return None
    return probes[name].read(features(*_pictures(seen, faces, frames)))


def _pictures(
    seen: Watched, faces: Faces, frames: Sequence[int]
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """Those frames in which the face was found, and its landmarks in them."""
    found = [(t, face) for t in frames if (face := faces[t]) is not None]
    return [seen.clip.frames[t] for t, _ in found], [face.landmarks for _, face in found]


def _read_head(probes: Probes, faces: Faces, frames: Sequence[int]) -> str | None:
    if len(frames) < _FEWEST_FRAMES:
        return None
    points = np.stack([face.landmarks for face in faces if face is not None])
    return probes["head"].read(crops.motion_features(points)[None])


def _read_speech(
    probes: Probes, seen: Watched, faces: Faces, talks: Sequence[Sequence[int]]
) -> str | None:
    if not talks:
        return None
    rows = [crops.mouth_features(*_pictures(seen, faces, frames)) for frames in talks]
    return probes["speech"].read(np.stack(rows))
