"""Laws of the objectives."""

import math

import pytest
import torch

from idvid.models.face_plan import template
from idvid.training.objective import (
    MAX_SLOTS,
    add_noise,
    clip_noise,
    draw_slots,
    face_weight,
    frame_levels,
    margin_softmax,
    picture_loss,
    rename_slots,
    velocity_loss,
)


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def test_clean_frames_get_no_loss_and_no_gradient():
    clean = torch.randn(2, 4, 3, 2, 2, generator=random())
    predicted = torch.randn(clean.shape, generator=random(1), requires_grad=True)
    level = torch.tensor([[1, 1, 0.3, 0.6], [1, 1, 1, 1.0]])
    velocity_loss(predicted, clean, level).backward()
    gradient = predicted.grad.flatten(2).abs().sum(-1)
    assert torch.equal(gradient > 0, level < 1)


@pytest.mark.parametrize("shared", [0.0, 0.6, 1.0])
def test_noise_of_a_clip_shares_what_it_should(shared):
    noise = clip_noise(torch.zeros(64, 2, 3, 16, 16), random(), shared)
    first, second = noise.unbind(1)
    assert noise.var().item() == pytest.approx(1, abs=0.02)
    assert (first * second).mean().item() == pytest.approx(shared, abs=0.02)


def test_no_noisy_frame_means_no_loss():
    values = torch.zeros(1, 2, 3)
    assert velocity_loss(values + 1, values, torch.ones(1, 2)) == 0


def test_the_loss_is_the_error_of_the_velocity():
    clean, noise = torch.randn(2, 3, 2, 5, generator=random())
    level = torch.tensor([[0.1, 0.5], [0.3, 0.8], [0.2, 0.9]])
    noisy = add_noise(clean, noise, level)
    predicted = clean + 0.1 * torch.randn(clean.shape, generator=random(2))
    t = level[..., None]
    velocity = (predicted - noisy) / (1 - t)
    expected = (velocity - (clean - noise)).square().mean()
    assert velocity_loss(predicted, clean, level) == pytest.approx(expected.item(), rel=1e-4)


def test_noise_at_t_one_leaves_the_frame_bit_for_bit():
    clean, noise = torch.randn(2, 1, 2, 7, generator=random())
    noisy = add_noise(clean, noise, torch.tensor([[1.0, 0.0]]))
    assert torch.equal(noisy[:, 0], clean[:, 0])
    assert torch.equal(noisy[:, 1], noise[:, 1])


def test_the_three_kinds_of_noise_levels():
    shared = frame_levels(50, 8, (1, 0, 0), random())
    assert (shared == shared[:, :1]).all()
    continued = frame_levels(50, 8, (0, 1, 0), random())
    prefix = (continued == 1).sum(1)
    assert prefix.min() >= 1
    assert prefix.max() <= 7
    assert (continued.diff(dim=1) <= 0).all()  # clean first, then one level
    free = frame_levels(50, 8, (0, 0, 1), random())
    assert len(free.unique()) == 400


def test_a_single_frame_is_never_clean():
    assert (frame_levels(200, 1, (0, 1, 0), random()) < 1).all()


def test_levels_are_logit_normal():
    logits = torch.logit(frame_levels(20_000, 1, (1, 0, 0), random()))
    assert logits.mean() == pytest.approx(-0.2, abs=0.03)
    assert logits.std() == pytest.approx(1.0, abs=0.03)


def test_slots_are_distinct_and_in_order_when_not_shuffled():
    present = torch.ones(300, 3, dtype=torch.bool)
    assert torch.equal(draw_slots(present, 0.0, random()), torch.arange(3).expand(300, -1))
    slots = draw_slots(present, 1.0, random())
    assert all(len(set(row)) == 3 for row in slots.tolist())
    assert set(slots.flatten().tolist()) == set(range(MAX_SLOTS))


def test_shuffled_slots_keep_captions_and_characters_together():
    slot_ids = torch.arange(2, 10)
    ids = torch.tensor([[2, 50, 3, 51, 4, 0], [3, 60, 2, 61, 0, 0]])
    slots = torch.tensor([[1, 0, 7], [5, 2, 0]])
    renamed = rename_slots(ids, slots, slot_ids)
    # The word after a name belongs to its character and must follow it to the new slot.
    assert renamed.tolist() == [[3, 50, 2, 51, 9, 0], [4, 60, 7, 61, 0, 0]]


def test_faces_weigh_more_and_nobody_weighs_one():
    square = torch.tensor([[0.6, 0.4], [0.55, 0.4], [0.4, 0.4], [0.45, 0.4], [0.5, 0.5]])
    points = square.expand(1, 1, 1, 5, 2)
    seen = torch.ones(1, 1, 1, dtype=torch.bool)
    weight = face_weight(points, seen, (16, 28), extra=1.0)
    assert weight[0, 0, 0, 7, 8] > 1.8
    assert weight[0, 0, 0, 7, 27] < 1.01
    assert torch.equal(face_weight(points, ~seen, (16, 28), 1.0), torch.ones_like(weight))


def test_eyes_and_mouths_can_weigh_more_than_the_face():
    """At 40 times the size of a latent, each part of a face is a place of its own."""
    points = (template(torch.zeros(1)) * 0.3 + 0.5).expand(1, 1, 1, 5, 2)
    seen = torch.ones(1, 1, 1, dtype=torch.bool)

    def at(u: float, v: float) -> float:
        place = [round((0.5 + 0.3 * c) * 640 - 0.5) for c in (v, u)]
        plain, more = (face_weight(points, seen, (640, 640), 2.0, d) for d in (0.0, 8.0))
        return float((more - plain)[0, 0, 0, place[0], place[1]])

    eyes, mouth, nose, forehead = at(-0.26, -0.1), at(0.0, 0.5), at(0.0, 0.2), at(0.0, -0.5)
    assert min(eyes, mouth) > 7.5
    assert max(nose, forehead) < 1.5
    nobody = face_weight(points, ~seen, (16, 28), 1.0, 8.0)
    assert torch.equal(nobody, torch.ones_like(nobody))


def test_margin_only_makes_the_task_harder():
    vectors = torch.nn.functional.normalize(torch.randn(6, 8, generator=random()), dim=-1)
    prototypes, labels = torch.randn(5, 8, generator=random(1)), torch.arange(6) % 5
    plain = margin_softmax(vectors, prototypes, labels, margin=0.0, scale=10)
    assert margin_softmax(vectors, prototypes, labels, margin=0.3, scale=10) > plain
    certain = margin_softmax(
        prototypes / prototypes.norm(dim=1, keepdim=True), prototypes, torch.arange(5), 0, 100
    )
    assert certain < 1e-3


def test_picture_loss_sees_edges_and_weights():
    frames = torch.zeros(1, 3, 8, 8)
    shifted, striped = frames + 0.5, frames.clone()
    striped[..., ::2], striped[..., 1::2] = 0.5, -0.5
    ones = torch.ones(1, 1, 8, 8)
    assert picture_loss(shifted, frames, ones) == pytest.approx(0.5)
    assert picture_loss(striped, frames, ones) > 1.0
    assert math.isclose(picture_loss(shifted, frames, 3 * ones), 1.5, rel_tol=1e-5)
