"""The unseen test people of the benchmarks and their photos."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from idvid.faces.detect import detect_faces
from idvid.people import render_portrait

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from idvid.people import Person

NUM_PEOPLE, PHOTOS = 24, 3
PEOPLE_SEED, PHOTO_SEED = 950_000, 960_000
_CANDIDATES, _PHOTO_PX = 20, 256


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
