"""People to put into a tiny VACE model."""

from __future__ import annotations

import made_up_faces
import pytest

from idvid.types import Scene


@pytest.fixture(scope="session")
def vace_references():
    return made_up_faces.references(2, 1)


@pytest.fixture(scope="session")
def vace_scene(vace_references):
    return Scene(
        prompt="@Ana and @Ben walk in the park",
        characters=made_up_faces.characters(vace_references),
        seconds=0.75,  # 12 frames at 16 fps: a window of 9 and one of 3 more
        seed=3,
    )
