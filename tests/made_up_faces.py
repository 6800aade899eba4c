"""References with a face that is only said to be there: for laws that do not depend on looks."""

from __future__ import annotations

import numpy as np

from idvid.faces.quality import ReferenceFace
from idvid.faces.types import Face
from idvid.types import Character

POINTS = np.array([[110, 80], [95, 82], [50, 80], [65, 82], [80, 110]], np.float32)
BOX = np.array([40, 50, 120, 130], np.float32)


def reference(rng, index=0):
    """A photo of noise with a face of 80 px."""
    return ReferenceFace(
        photo_index=index,
        image=rng.integers(0, 255, (200, 160, 3), dtype=np.uint8),
        face=Face(box=BOX, landmarks=POINTS, score=1.0),
        embedding=np.zeros(128, np.float32),
    )


def references(*counts):
    """Per character as many references as said."""
    rng = np.random.default_rng(0)
    return tuple(tuple(reference(rng, index) for index in range(count)) for count in counts)


def characters(made, names=("Ana", "Ben", "Cleo", "Dan", "Eve")):
    """One character per tuple of references."""
    return tuple(
        Character(name=name, photos=tuple(r.image for r in own))
        for name, own in zip(names, made, strict=False)
    )
