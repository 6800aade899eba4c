"""Laws of the head matte, and its place in a model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from idvid.models.checkpoint import MATTE, load_bundled, save_bundled, stored_names
from idvid.models.head_matte import HeadMatte
from idvid.pipeline.generate import load_pipeline


@pytest.mark.parametrize("size_px", [32, 96])
def test_a_matte_is_a_share_of_every_pixel(size_px):
    torch.manual_seed(0)
    heads = torch.rand(2, 3, size_px, size_px) * 2 - 1
    made = HeadMatte(size_px=size_px, widths=(8, 8, 8)).eval()(heads)
    assert made.shape == (2, 1, size_px, size_px)
    assert 0 < made.min() < made.max() < 1


def test_it_knows_where_a_pixel_is():
    torch.manual_seed(0)
    made = HeadMatte(size_px=32, widths=(8, 8, 8)).eval()(torch.zeros(1, 3, 32, 32))[0, 0]
    inner = made[12:20, 12:20]
    assert inner.std() > 1e-4  # of a picture without any features


def test_a_model_is_whole_with_a_matte_and_without(tiny_model, tiny_folder, tmp_path):
    for loaded in (load_bundled(tiny_folder), load_pipeline(str(tiny_folder)).model):
        again = loaded.matte.state_dict()
        for name, value in tiny_model.matte.state_dict().items():
            torch.testing.assert_close(again[name], value.half().float())
    folder = tmp_path / "model"
    save_bundled(replace(tiny_model, matte=None), folder)
    assert MATTE not in stored_names(folder)
    assert load_pipeline(str(folder)).model.matte is None
