"""Laws of references laid onto a face plan, as they are and re-enacted."""

from __future__ import annotations

import pytest
import torch

from idvid.conditioning.anchors import (
    PlannedFaces,
    anchor_frames,
    blank_latents,
    encode_anchors,
)
from idvid.conditioning.references import ReferencePictures
from idvid.models.autoencoder import FrameAutoencoder
from idvid.models.face_plan import NUM_EXPRESSION, face_frame
from idvid.models.head_reenactor import HeadReenactor

POINTS = torch.tensor([[55.0, 40], [47, 41], [25, 40], [33, 41], [40, 55]])


def picture(value):
    return torch.full((3, 80, 80), float(value))


def smooth_picture():
    noise = torch.rand(1, 3, 10, 10, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(noise, size=80, mode="bilinear")[0]


def planned(landmarks, is_visible, expression=0.0):
    values = torch.full((*landmarks.shape[:2], NUM_EXPRESSION), float(expression))
    return PlannedFaces(landmarks=landmarks, expression=values, is_visible=is_visible)


@pytest.fixture
def reenactor():
    """A fresh one that paints nothing: its last layer says what happens, the same everywhere."""
    part = HeadReenactor(widths=(8, 8, 8), code=8).eval().requires_grad_(False)
    part.leave[0].bias[8:12] = -30.0
    return part


def test_a_reference_laid_at_its_own_place_is_itself():
    torch.manual_seed(0)
    image = torch.nn.functional.interpolate(torch.rand(1, 3, 10, 10), size=80, mode="bilinear")[0]
    pictures = ReferencePictures(images=(image,), landmarks=POINTS[None])
    visible = torch.ones(1, 1, dtype=torch.bool)
    frames, coverage = anchor_frames([pictures], planned(POINTS[None, None], visible), (80, 80))
    on_face = coverage[0, 0] > 0.9
    assert on_face.sum() > 50
    difference = (frames[0] / coverage[0].clamp(min=1e-3) - image).abs()[:, on_face]
    assert difference.max() < 1e-3


def test_the_reference_that_looks_ahead_is_laid_unless_another_is_posed_much_more_like_the_plan():
    turned = POINTS.clone()
    turned[4, 0] -= 8  # the nose points to the left
    pictures = ReferencePictures(
        images=(picture(-1), picture(1)), landmarks=torch.stack([POINTS, turned])
    )
    ways = (0.0, 0.45, 0.55, 1.0)  # of the way to the turned face; half of it is nearer to neither
    plan = torch.stack([POINTS.lerp(turned, way) for way in ways])[None]
    visible = torch.ones(1, len(ways), dtype=torch.bool)
    frames, _ = anchor_frames([pictures], planned(plan, visible), (80, 80))
    is_turned = [bool((frame[:, 48, 40] > 0).all()) for frame in frames]
    assert is_turned == [False, False, False, True]


def test_frames_laid_together_are_as_laid_one_by_one():
    noise = torch.Generator().manual_seed(0)

    def scattered(*shape):
        return POINTS + 3 * torch.randn(*shape, 5, 2, generator=noise)

    cast = [
        ReferencePictures(
            images=(torch.rand(3, 80, 80, generator=noise), torch.rand(3, 64, 70, generator=noise)),
            landmarks=scattered(2),
        )
        for _ in range(2)
    ]
    plan = scattered(2, 6)
    visible = torch.tensor([[True, True, False, True, True, True], [False] + [True] * 5])
    together = anchor_frames(cast, planned(plan, visible), (80, 96))
    for time in range(6):
        one = slice(time, time + 1)
        alone = anchor_frames(cast, planned(plan[:, one], visible[:, one]), (80, 96))
        assert torch.allclose(together[0][one], alone[0], atol=1e-5)
        assert torch.allclose(together[1][one], alone[1], atol=1e-6)
    assert (together[1].amax((1, 2, 3)) > 0.9).all()


def test_each_character_is_laid_at_their_own_face_and_nobody_where_not_visible():
    left, right = POINTS, POINTS + torch.tensor([100.0, 0])
    cast = [
        ReferencePictures(images=(picture(value),), landmarks=POINTS[None]) for value in (-1, 1)
    ]
    plan = torch.stack([left, right])[:, None]
    visible = torch.ones(2, 1, dtype=torch.bool)
    frames, _ = anchor_frames(cast, planned(plan, visible), (80, 180))
    assert frames[0, 0, 48, 40] < -0.9
    assert frames[0, 0, 48, 140] > 0.9
    hidden, coverage = anchor_frames([cast[0], None], planned(plan, visible & False), (80, 180))
    assert hidden.abs().sum() == 0
    assert coverage.sum() == 0


def laid(image, reenactor, expression=0.0, points=POINTS):
    """With a matte that lets everything through."""
    matte = torch.ones(1, 1, 32, 32)
    pictures = ReferencePictures(images=(image,), landmarks=POINTS[None], mattes=matte)
    visible = torch.ones(1, 1, dtype=torch.bool)
    plan = planned(points[None, None], visible, expression)
    return anchor_frames([pictures], plan, (80, 80), reenactor)


def test_a_reenactor_that_changes_nothing_leaves_what_is_laid(reenactor):
    frames, coverage = laid(smooth_picture(), reenactor)
    as_they_are, same_coverage = laid(smooth_picture(), None)
    torch.testing.assert_close(frames, as_they_are)
    assert torch.equal(coverage, same_coverage)


def test_flow_is_in_face_widths_and_moves_the_middle_of_the_head_alone(reenactor):
    ramp = torch.linspace(-1, 1, 80).expand(3, 80, 80)
    small = 40 + 0.5 * (POINTS - 40)
    still, coverage = laid(ramp, None, points=small)
    reenactor.leave[0].bias[:4] = 0.5  # a tenth of a face width to the right
    moved, same_coverage = laid(ramp, reenactor, points=small)
    assert (coverage - same_coverage).abs().max() < 0.01
    shift = (moved - still)[0] / coverage[0].clamp(min=1e-3)
    width = float(face_frame(POINTS)[1].norm())
    assert float(shift[0, 42, 40]) == pytest.approx(0.1 * width * 2 / 79, rel=0.02)
    outside = (42, 40 + round(1.4 * width / 2))
    assert coverage[0, 0][outside] > 0.2
    assert abs(float(shift[0][outside])) < 0.02


def test_flow_turns_with_the_head_that_is_planned(reenactor):
    """The same change, planned on a head that lies on its side, moves along the picture's columns."""
    ramp = torch.linspace(-1, 1, 80)[:, None].expand(3, 80, 80)
    reenactor.leave[0].bias[:4] = 0.5
    centre = POINTS.mean(0)
    offset = POINTS - centre
    on_its_side = centre + torch.stack([-offset[:, 1], offset[:, 0]], dim=-1)
    turned = torch.rot90(ramp, -1, (1, 2))
    moved, coverage = laid(turned, reenactor, points=on_its_side)
    still, _ = laid(turned, None, points=on_its_side)
    shift = (moved - still)[0, 0] / coverage[0, 0].clamp(min=1e-3)
    assert shift[45, 40].abs() > 0.05


def test_paint_takes_the_place_of_what_a_matte_lets_through(reenactor):
    """Painted hair is laid where the photo shows none, and what is painted away is not laid."""
    pictures = ReferencePictures(images=(picture(-1),), landmarks=POINTS[None], mattes=left_half())
    plan = planned(POINTS[None, None], torch.ones(1, 1, dtype=torch.bool))
    reenactor.leave[0].bias[8:12] = 30.0
    reenactor.leave[0].bias[24:] = 30.0
    whole = anchor_frames([pictures], plan, (80, 80), reenactor)[1]
    reenactor.leave[0].bias[24:] = -30.0
    nothing = anchor_frames([pictures], plan, (80, 80), reenactor)[1]
    middle = int(POINTS[:, 0].mean())
    for column in (middle - 8, middle + 8):
        assert whole[0, 0, 45, column] > 0.9
        assert nothing[0, 0, 45, column] < 1e-3


def test_photos_without_mattes_are_laid_as_they_are(reenactor):
    reenactor.leave[0].bias[:4] = 0.5
    pictures = ReferencePictures(images=(smooth_picture(),), landmarks=POINTS[None])
    plan = planned(POINTS[None, None], torch.ones(1, 1, dtype=torch.bool))
    frames, coverage = anchor_frames([pictures], plan, (80, 80), reenactor)
    as_they_are, same_coverage = anchor_frames([pictures], plan, (80, 80))
    assert torch.equal(frames, as_they_are)
    assert torch.equal(coverage, same_coverage)


def test_paint_replaces_what_the_photo_shows(reenactor):
    reenactor.leave[0].bias[8:12] = 30.0
    reenactor.leave[0].bias[12:] = 30.0  # white, and there
    frames, coverage = laid(picture(-1), reenactor)
    assert frames[0, 0, 45, 40] / coverage[0, 0, 45, 40] > 0.99
    reenactor.leave[0].bias[8:12] = -30.0
    assert laid(picture(-1), reenactor)[0][0, 0, 45, 40] < -0.9


def test_what_is_planned_reaches_the_photo():
    part = HeadReenactor(widths=(8, 8, 8), code=8).eval().requires_grad_(False)
    noise = torch.Generator().manual_seed(0)
    for value in part.parameters():
        value.add_(0.2 * torch.randn(value.shape, generator=noise))
    turned = POINTS.clone()
    turned[4, 0] -= 8
    still, other = laid(smooth_picture(), part)[0], laid(smooth_picture(), part, 0.7)[0]
    posed = laid(smooth_picture(), part, points=turned)[0]
    plain = laid(smooth_picture(), None, points=turned)[0]
    assert (still - other).abs().max() > 1e-3
    assert (posed - plain).abs().max() > 1e-3


def test_where_no_photo_is_laid_latents_are_the_blank_ones_at_the_border_too():
    torch.manual_seed(0)
    autoencoder = FrameAutoencoder(latent_channels=4, widths=(8, 8, 16)).requires_grad_(False)
    for layer in autoencoder.encoder.modules():  # fresh blocks change nothing and see no border
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.normal_(layer.weight, std=0.1)
    plan = planned(POINTS[None, None], torch.tensor([[False]]))
    anchors = encode_anchors(*anchor_frames([None], plan, (32, 48)), autoencoder)
    blank = blank_latents(autoencoder, (32, 48))
    assert blank[:, 0, 0].sub(blank[:, 2, 3]).abs().max() > 1e-3
    torch.testing.assert_close(anchors[0, :-1], blank)
    assert not anchors[0, -1].any()


def left_half(size=32):
    """A matte whose person is the left half of the crop."""
    matte = torch.zeros(1, 1, size, size)
    matte[..., : size // 2] = 1
    return matte


def cut(image, matte, points=POINTS):
    pictures = ReferencePictures(images=(image,), landmarks=POINTS[None], mattes=matte)
    plan = planned(points[None, None], torch.ones(1, 1, dtype=torch.bool))
    return anchor_frames([pictures], plan, (80, 80))


def test_what_is_behind_somebody_on_a_photo_is_not_laid():
    frames, coverage = cut(picture(1), left_half())
    middle = int(POINTS[:, 0].mean())
    assert coverage[0, 0, 45, middle - 8] > 0.9
    assert coverage[0, 0, 45, middle + 8] == 0
    assert frames[0, 0, 45, middle + 8] == 0


def test_a_matte_turns_with_the_photo():
    around = POINTS.mean(0)
    upside_down = 2 * around - POINTS
    _, coverage = cut(picture(1), left_half(), upside_down)
    middle = int(around[0])
    assert coverage[0, 0, 45, middle + 8] > 0.8
    assert coverage[0, 0, 45, middle - 8] == 0


def test_a_cut_out_reaches_further_than_a_photo_as_it_is():
    _, whole = cut(picture(1), None)
    _, head = cut(picture(1), torch.ones(1, 1, 32, 32))
    for row, column in ((14, 40), (45, 8), (79, 40)):  # hair above and beside, and the neck
        assert head[0, 0, row, column] > 1.1 * whole[0, 0, row, column] > 0
