"""The unseen test people of the benchmarks and their photos."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from idvid.faces.detect import detect_faces
from idvid.faces.embed import load_judge
from idvid.faces.quality import ReferenceFace
from idvid.people import render_portrait

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from idvid.people import Person

NUM_PEOPLE, PHOTOS = 24, 3
PEOPLE_SEED, PHOTO_SEED = 950_000, 960_000
_CANDIDATES, _PHOTO_PX = 20, 256
_REFERENCE_PX, _REFERENCE_MIN_PX = 160, 48


def usable_photos(person: Person, index: int) -> tuple[NDArray[np.uint8], ...]:
    """The first three portraits of test person `index` in which a face is found.

    A user does the same: the reference check names the photos without a face.
    """
    first = PHOTO_SEED + index * _CANDIDATES
    seeds = range(first, first + _CANDIDATES)
    photos = (render_portrait(person, seed, _PHOTO_PX).image for seed in seeds)
    found = list(islice((photo for photo in photos if detect_faces(photo)), PHOTOS))
    assert len(found) == PHOTOS, f"person {index} has too few photos with a face"
    return tuple(found)


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
