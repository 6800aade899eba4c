"""Laws of planned faces that are kept apart."""

import pytest
import torch

from idvid.models.face_planner import STATE, moved, places
from idvid.pipeline.spacing import MIN_GAP, keep_apart


def standing(*across, frames=5, down=0.4):
    """Faces of the usual size at these places (frame heights), (C, T, STATE)."""
    states = torch.zeros(len(across), frames, STATE)
    centres = torch.tensor([[[x, down]] * frames for x in across])
    return moved(states, centres)


def gaps(states):
    centres, sizes = places(states)
    distance = (centres[:, None] - centres[None]).norm(dim=-1) / sizes.mean()
    return distance[~torch.eye(len(states), dtype=torch.bool)]


def test_faces_apart_are_left_alone():
    states = standing(0.4, 1.3)
    assert torch.equal(keep_apart(states), states)


@pytest.mark.parametrize("places_across", [(0.8, 0.9), (0.9, 0.8), (0.6, 0.8, 0.7), (0.9, 0.9)])
def test_faces_on_each_other_come_apart_and_keep_their_order(places_across):
    states = keep_apart(standing(*places_across))
    assert gaps(states).min() > 0.97 * MIN_GAP
    across = places(states)[0][..., 0].mean(1)
    if len(set(places_across)) == len(places_across):
        assert across.argsort().tolist() == torch.tensor(places_across).argsort().tolist()


def test_faces_in_two_rows_may_stand_over_each_other():
    states = torch.cat([standing(0.8, down=0.25), standing(0.8, down=0.75)])
    assert torch.equal(keep_apart(states), states)


def test_finished_frames_stay_and_say_who_is_left():
    known, new = standing(0.5, 1.2, frames=2), standing(0.9, 0.8, frames=3)
    states = keep_apart(torch.cat([known, new], dim=1), num_known=2)
    assert torch.equal(states[:, :2], known)
    across = places(states)[0][..., 0]
    assert (across[0, 2:] < across[1, 2:]).all()


def test_size_tilt_and_pose_are_not_touched():
    states = standing(0.8, 0.9) + 0
    states[..., 2:] = torch.randn(states[..., 2:].shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(keep_apart(states)[..., 2:], states[..., 2:])
