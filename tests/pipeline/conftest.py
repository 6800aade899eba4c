"""People to put into a tiny VACE model."""

from __future__ import annotations

import made_up_faces
import pytest

from idvid.pipeline.generate import load_pipeline
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


@pytest.fixture(scope="module")
def pipeline(tiny_folder):
    return load_pipeline(str(tiny_folder))


@pytest.fixture(scope="module")
def references():
    return made_up_faces.references(2, 1)


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """An empty cache, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
