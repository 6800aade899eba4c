"""Faces of a rendered person, as the drift meter takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idvid.faces.detect import detect_faces
from idvid.faces.embed import load_judge
from idvid.faces.quality import ReferenceFace
from idvid.people import render_portrait

if TYPE_CHECKING:
    from collections.abc import Iterable

    from idvid.people import Person

_REFERENCE_PX, _REFERENCE_MIN_PX = 160, 48


def reference_faces(person: Person, photo_seeds: Iterable[int]) -> tuple[ReferenceFace, ...]:
    """The faces that are found on portraits of a person, as the drift meter takes them."""
    judge, found = load_judge(), []
    for index, seed in enumerate(photo_seeds):
        image = render_portrait(person, seed, _REFERENCE_PX).image
        faces = detect_faces(image, _REFERENCE_MIN_PX)[:1]
        found += [
            ReferenceFace(photo_index=index, image=image, face=face, embedding=embedding)
            for face, embedding in zip(faces, judge.embed([image], faces), strict=True)
        ]
    return tuple(found)
