"""What reenactor and head matte have in common: their place in a model, which may lack either."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from idvid.models.checkpoint import PHOTO_PARTS, load_bundled, save_bundled, stored_names
from idvid.pipeline.generate import load_pipeline


@pytest.mark.parametrize("name", PHOTO_PARTS)
def test_a_model_is_whole_with_the_part_and_without(name, tiny_model, tiny_folder, tmp_path):
    for loaded in (load_bundled(tiny_folder), load_pipeline(str(tiny_folder)).model):
        again = loaded.parts()[name].state_dict()
        for key, value in tiny_model.parts()[name].state_dict().items():
            torch.testing.assert_close(again[key], value.half().float())
    folder = tmp_path / "model"
    save_bundled(replace(tiny_model, **{name: None}), folder)
    assert name not in stored_names(folder)
    assert name not in load_pipeline(str(folder)).model.parts()
