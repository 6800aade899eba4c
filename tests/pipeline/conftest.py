"""A tiny VACE checkpoint in the Hub's format, and people to put into it."""

from __future__ import annotations

import made_up_faces
import pytest
import wan_tiny

from idvid.types import Scene


@pytest.fixture(scope="session")
def vace_folder(tmp_path_factory):
    """Saved by the stock pipeline, as on the Hub."""
    from diffusers import WanVACEPipeline

    folder = tmp_path_factory.mktemp("vace") / "model"
    WanVACEPipeline(**wan_tiny.parts("vace")).save_pretrained(folder)
    return folder


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
