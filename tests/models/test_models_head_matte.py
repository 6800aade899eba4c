"""Laws of the head matte."""

from __future__ import annotations

import pytest
import torch

from idvid.models.head_matte import HeadMatte


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
