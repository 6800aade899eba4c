"""The model that ships: whole, small, and what its card says it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from idvid.config import GenerationSettings
from idvid.faces.quality import check_references
from idvid.models.checkpoint import MATTE, PART_CLASSES, REENACTOR, STUDENT, load_bundled
from idvid.pipeline.generate import BUNDLED, load_pipeline
from idvid.scene_file import read_scene

SCENES = Path(__file__).parents[1] / "examples" / "scenes"
MAX_FILE_BYTES, MAX_TOTAL_BYTES, MAX_PARAMETERS = 9_500_000, 60_000_000, 30_000_000


def test_it_ships_in_small_files():
    sizes = [path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()]
    assert max(sizes) < MAX_FILE_BYTES
    assert sum(sizes) < MAX_TOTAL_BYTES


def test_every_part_loads_and_is_finite():
    import torch

    model = load_bundled(BUNDLED)
    assert set(model.parts()) == {*PART_CLASSES, STUDENT, REENACTOR, MATTE}
    parts = model.parts()
    count = sum(value.numel() for value in parts["transformer"].parameters())
    assert count < MAX_PARAMETERS
    for part in parts.values():
        for value in part.state_dict().values():
            assert torch.isfinite(value).all()


def test_the_index_names_every_part():
    index = json.loads((BUNDLED / "model_index.json").read_text())
    assert set(PART_CLASSES) | {"tokenizer"} <= set(index)


def test_the_card_says_what_it_was_trained_on():
    card = (BUNDLED / "README.md").read_text()
    for word in ("synthetic", "seeds", "steps", "limits", "judge"):
        assert word in card.lower()


@pytest.fixture(scope="module")
def scene():
    return read_scene(SCENES / "two_friends.json")


def test_it_knows_the_words_of_its_own_examples(scene):
    assert load_pipeline().unknown_words(scene) == ()


def test_the_main_job_makes_a_moving_second_of_video(scene):
    references = check_references(scene.characters).references
    settings = GenerationSettings(method="locks", num_steps=4, guidance_scale=1.0)
    clip = load_pipeline()(replace(scene, seconds=1.0), references, settings)
    assert clip.frames.shape == (12, 128, 224, 3)
    assert clip.frames.std() > 20  # not a flat picture
    steps = np.abs(np.diff(clip.frames.astype(int), axis=0)).mean(axis=(1, 2, 3))
    assert (steps > 0.1).all()  # it moves,
    assert steps.mean() < 25  # and does not flicker like noise
