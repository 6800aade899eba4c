"""Laws of the reenactor: what it changes, and that changes fade out."""

from __future__ import annotations

import pytest
import torch

from idvid.models.face_plan import NUM_EXPRESSION
from idvid.models.face_reenactor import FaceReenactor, reenacted, wanted

POINTS = torch.tensor([[55.0, 40], [47, 41], [25, 40], [33, 41], [40, 55]])


def opened(part, seed=0):
    """With every weight away from zero, as after training."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in part.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=noise))
    return part.eval().requires_grad_(False)


def test_changes_fade_out_at_the_border_and_the_middle_is_free():
    part = opened(FaceReenactor(widths=(8, 8, 8), code=8))
    crops = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    told = wanted(POINTS.expand(2, -1, -1), POINTS.expand(2, -1, -1), torch.rand(2, NUM_EXPRESSION))
    change = part(crops, told)
    assert change.flow.shape == (2, 2, 64, 64)
    for values in (change.flow, change.mask):
        assert values[..., 0].abs().max() < 0.05 * values.abs().max()
        assert values[..., 32, 32].abs().min() > 0
    assert 0 <= change.mask.min() <= change.mask.max() <= 1
    made = reenacted(crops, change)
    assert made.shape == crops.shape
    assert made.abs().max() <= 1.0001


def test_a_fresh_reenactor_hardly_changes_anything():
    crops = torch.rand(1, 3, 64, 64) * 2 - 1
    told = wanted(POINTS[None], POINTS[None], torch.zeros(1, NUM_EXPRESSION))
    assert (reenacted(crops, FaceReenactor()(crops, told)) - crops).abs().max() < 0.06


@pytest.mark.parametrize("size_px", [32, 64])
def test_any_size_that_divides_by_eight_is_read(size_px):
    part = FaceReenactor(size_px=size_px, widths=(8, 8, 8), code=8)
    told = wanted(POINTS[None], POINTS[None], torch.zeros(1, NUM_EXPRESSION))
    assert part(torch.zeros(1, 3, size_px, size_px), told).mask.shape[-1] == size_px


def test_a_share_of_the_turn_lies_between_the_two_poses():
    turned = POINTS.clone()
    turned[4, 0] -= 8
    expression = torch.zeros(1, NUM_EXPRESSION)

    def told(target, share=1.0):
        return wanted(POINTS[None], target[None], expression, share)

    assert torch.equal(told(turned, 0.0), told(POINTS))
    half = 0.5 * (told(POINTS) + told(turned))
    torch.testing.assert_close(told(turned, 0.5), half)
