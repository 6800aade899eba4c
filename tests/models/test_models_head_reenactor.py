"""Laws of the reenactor: what it changes, and that changes fade out."""

from __future__ import annotations

import pytest
import torch

from idvid.models.face_plan import (
    NUM_EXPRESSION,
    NUM_LANDMARKS,
    pose_residual,
    turned_like,
)
from idvid.models.head_reenactor import HeadReenactor, premultiplied, reenacted, wanted

POINTS = torch.tensor([[55.0, 40], [47, 41], [25, 40], [33, 41], [40, 55]])


def opened(part, seed=0):
    """With every weight away from zero, as after training."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in part.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=noise))
    return part.eval().requires_grad_(False)


def cut_outs(count, size_px=64):
    noise = torch.Generator().manual_seed(1)
    colours = torch.rand(count, 3, size_px, size_px, generator=noise) * 2 - 1
    return premultiplied(colours, torch.rand(count, 1, size_px, size_px, generator=noise))


def test_changes_fade_out_at_the_border_and_the_middle_is_free():
    part = opened(HeadReenactor(widths=(8, 8, 8), code=8))
    heads = cut_outs(2)
    told = wanted(POINTS.expand(2, -1, -1), POINTS.expand(2, -1, -1), torch.rand(2, NUM_EXPRESSION))
    change = part(heads, told)
    assert change.flow.shape == (2, 2, 64, 64)
    assert change.paint.shape == heads.shape
    for values in (change.flow, change.mask):
        assert values[..., 0].abs().max() < 0.05 * values.abs().max()
        assert values[..., 32, 32].abs().min() > 0
    assert 0 <= change.mask.min() <= change.mask.max() <= 1
    made = reenacted(heads, change)
    assert made.shape == heads.shape
    assert made.abs().max() <= 1.0001


def test_made_heads_are_premultiplied():
    """No colour is stronger than its matte, in what is warped and in what is painted."""
    heads = cut_outs(2)
    told = wanted(POINTS.expand(2, -1, -1), POINTS.expand(2, -1, -1), torch.rand(2, NUM_EXPRESSION))
    change = opened(HeadReenactor(widths=(8, 8, 8), code=8))(heads, told)
    assert change.mask.max() > 0.01
    for cut_out in (change.paint, reenacted(heads, change)):
        assert (cut_out[:, :3].abs() <= cut_out[:, 3:] + 1e-5).all()
        assert cut_out[:, 3].min() >= 0


def test_a_fresh_reenactor_hardly_changes_anything():
    heads = cut_outs(1)
    told = wanted(POINTS[None], POINTS[None], torch.zeros(1, NUM_EXPRESSION))
    assert (reenacted(heads, HeadReenactor()(heads, told)) - heads).abs().max() < 0.06


@pytest.mark.parametrize("size_px", [32, 64])
def test_any_size_that_divides_by_eight_is_read(size_px):
    part = HeadReenactor(size_px=size_px, widths=(8, 8, 8), code=8)
    told = wanted(POINTS[None], POINTS[None], torch.zeros(1, NUM_EXPRESSION))
    assert part(torch.zeros(1, 4, size_px, size_px), told).mask.shape[-1] == size_px


def test_a_share_of_the_turn_lies_between_the_two_poses():
    turned = POINTS.clone()
    turned[4, 0] -= 8
    expression = torch.zeros(1, NUM_EXPRESSION)

    def told(target, share=1.0):
        return wanted(POINTS[None], target[None], expression, share)

    poses = slice(4 * NUM_LANDMARKS)  # behind them how far heads lean, which is never halved
    assert torch.equal(told(turned, 0.0)[:, poses], told(POINTS)[:, poses])
    half = 0.5 * (told(POINTS) + told(turned))
    torch.testing.assert_close(told(turned, 0.5)[:, poses], half[:, poses])


def test_a_plan_tells_how_to_turn_and_not_whose_face_it_is_of():
    """Eyes of another width are not told; a nose that points aside is, whoever's it is."""
    source = pose_residual(POINTS[None])
    wider = source.clone()
    wider[:, [0, 3], 0] += 0.05
    wider[:, [1, 2], 0] -= 0.05
    aside = source.clone()
    aside[:, 4, 0] += 0.1
    for target, share in ((wider, 0.3), (aside, 1.0)):
        told, asked = turned_like(source, target) - source, target - source
        assert float(told.norm()) == pytest.approx(share * float(asked.norm()), rel=0.35)
    there = turned_like(source, aside)
    torch.testing.assert_close(turned_like(source, there), there, atol=1e-3, rtol=0)


def test_how_far_a_head_leans_is_told_beside_how_it_is_turned():
    """A pose is read upright, so a head that leans is posed alike; shoulders need to know."""
    angle = torch.tensor(0.3)
    turn = torch.stack(
        [torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])]
    )
    leaning = POINTS @ turn.T
    expression = torch.zeros(1, NUM_EXPRESSION)
    straight = wanted(POINTS[None], POINTS[None], expression, 0.0)
    leant = wanted(POINTS[None], leaning[None], expression, 0.0)
    changed = torch.nonzero((straight - leant)[0].abs() > 1e-4).flatten()
    assert len(changed) == 1
    assert float((leant - straight)[0, changed]) == pytest.approx(4 * float(angle.sin()), abs=0.05)
