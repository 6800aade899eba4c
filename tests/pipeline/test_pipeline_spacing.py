"""Laws of planned faces that are kept apart."""

import pytest
import torch

from idvid.models.face_planner import STATE, moved, places, resized, turn
from idvid.pipeline.backend import HEIGHT_PX, WIDTH_PX
from idvid.pipeline.spacing import MAX_TURN, MIN_GAP, MIN_SIDE, keep_apart, keep_in_view


def standing(*across, frames=5, down=0.45):
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


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_faces_at_the_side_come_into_the_picture_and_stay_apart(count):
    states = keep_apart(standing(*[1.6 + 0.01 * person for person in range(count)]))
    centres, sizes = places(states)
    margins = MIN_SIDE * sizes - 1e-5
    assert (centres[..., 0] >= margins).all()
    assert (centres[..., 0] <= WIDTH_PX / HEIGHT_PX - margins).all()
    if count > 1:
        assert gaps(states).min() > 0.97 * min(MIN_GAP, 3.39 / (count - 1))  # of 5 face sizes


def test_eight_faces_share_the_picture_rather_than_leave_it():
    states = keep_apart(standing(*[0.2 * person for person in range(8)]))
    centres, sizes = places(states)
    assert (centres[..., 0] >= MIN_SIDE * sizes - 1e-5).all()
    assert gaps(states).min() > 0.45


def profiles(count, frames=6):
    """Faces that turn far away, become small and sink."""
    states = standing(*[0.4 + 0.5 * person for person in range(count)], frames=frames)
    states[..., 4:] = torch.linspace(0, 6, frames)[:, None]
    sizes = torch.linspace(0.4, 0.05, frames).expand(count, -1)
    states = resized(states, sizes)
    down = torch.linspace(0.45, 0.9, frames).expand(count, -1)
    return moved(states, torch.stack([places(states)[0][..., 0], down], dim=-1))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_faces_in_view_are_neither_in_profile_nor_tiny_nor_low(count):
    states = keep_in_view(profiles(count))
    centres, sizes = places(states)
    assert (turn(states).abs() <= torch.tensor(MAX_TURN) + 1e-5).all()
    assert sizes.min() >= min(0.36, 0.90 / count) - 1e-5
    assert centres[..., 1].max() <= 0.6 + 1e-5
    assert torch.equal(centres[..., 0], places(profiles(count))[0][..., 0])


def test_faces_within_bounds_and_finished_frames_are_left_alone():
    states = profiles(2)
    kept = keep_in_view(states, num_known=4)
    assert torch.equal(kept[:, :4], states[:, :4])
    assert not torch.equal(kept[:, 4:], states[:, 4:])
    assert torch.equal(keep_in_view(states[:, :1]), states[:, :1])
