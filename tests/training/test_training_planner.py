"""Laws of the planner's loss and of how its obedience is told."""

import pytest
import torch

from idvid.models.face_planner import STATE
from idvid.training.planner_stage import RowsOf, _stressed, obedience

MOTION = 4.0  # what the loss says motion weighs


def test_motion_weighs_more_than_place_and_frames_that_are_clean_do_not_count():
    held, moving = torch.ones(1, 1, 4, 1), torch.tensor([1.0, -1.0, 1.0, -1.0])[None, None, :, None]
    counts = torch.ones(1, 1, 4, 1)
    torch.testing.assert_close(_stressed(held, counts), torch.ones(1, 1, 4))
    torch.testing.assert_close(_stressed(moving, counts), torch.full((1, 1, 4), MOTION))
    both = torch.tensor([9.0, 1.0, 1.0, 1.0])[None, None, :, None]
    some = torch.tensor([0.0, 1.0, 1.0, 1.0])[None, None, :, None]
    torch.testing.assert_close(_stressed(both, some)[..., 1:], torch.ones(1, 1, 3))


def test_obedience_is_one_for_the_truth_and_none_for_somebody_elses():
    noise = torch.Generator().manual_seed(0)
    places = torch.randn(300, 1, STATE, generator=noise)
    strength = torch.rand(300, 1, STATE, generator=noise)
    truth = places + strength * torch.randn(300, 12, STATE, generator=noise)
    itself = obedience(truth, truth)
    assert itself == pytest.approx({"held": 1.0, "moves": 1.0}, abs=1e-4)
    other = obedience(truth.roll(1, 0), truth)
    assert max(abs(value) for value in other.values()) < 0.06
    still = obedience(truth.mean(1, keepdim=True).expand_as(truth), truth)
    assert still["held"] == pytest.approx(1.0, abs=1e-4)
    assert abs(still["moves"]) < 0.06


def test_rows_are_chosen_by_their_number_of_people():
    people = torch.tensor([[True, False], [True, True], [True, True]])
    assert RowsOf(2)({"is_person": people}).tolist() == [1, 2]
    assert RowsOf(3)({"is_person": people}).tolist() == []
