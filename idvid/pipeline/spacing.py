"""Planned faces kept apart and to be seen.

Where two lie on each other, the video model draws one face of both. And a plan is made window by
window, so that over ten seconds small steps add up: without bounds, faces ended in profile, half as
large or half outside the picture, and nobody could be recognised.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from idvid.models.face_planner import moved, places, resized, turn, turned_at_most
from idvid.pipeline.backend import HEIGHT_PX, WIDTH_PX

# Face sizes between two centres. People who stand side by side in training clips are hardly ever
# nearer than 1.0 in threes and 1.7 in twos; at 1.0 hair lies on the next face.
MIN_GAP = 1.3
# Of the training clips' faces about 9% are turned further aside, 8% look further down and 5% are nearer to
# a side; where there are two people or more, a few percent stand higher or lower. Single people often
# stand lower.
# Face sizes between the nose and where a frontal face has it: aside, up or down.
MAX_TURN = (0.08, 0.12)
MIN_SIDE = 0.8  # face sizes between a centre and the picture's sides
_HEIGHTS = (0.38, 0.6)  # of centres, frame heights
# The smallest size: about the training clips' median for two and for three people. A face of 30 px is
# four by four latents, too few to tell people by (docs/log.md).
_MAX_FLOOR, _SHARED_FLOOR = 0.36, 0.90  # frame heights; the second is shared among the people
_ASPECT = WIDTH_PX / HEIGHT_PX
_ROUNDS = 12  # pushing one pair apart may push it into a third


def keep_in_view(states: Tensor, num_known: int = 0) -> Tensor:
    """Turn, size and height of faces within what training clips show, so that all can be recognised.

    Args:
        states: of the planner, (C, T, STATE).
        num_known: the first frames, which are finished and stay.

    Returns:
        (C, T, STATE); equal to the input where faces are within bounds.
    """
    centres, sizes = places(states)
    floor = min(_MAX_FLOOR, _SHARED_FLOOR / len(states))
    down = centres[..., 1].clamp(*_HEIGHTS)
    bounded = turned_at_most(states, MAX_TURN)
    bounded = resized(bounded, sizes.clamp(min=floor))
    bounded = moved(bounded, torch.stack([centres[..., 0], down], dim=-1))
    is_ahead = (turn(states).abs() <= states.new_tensor(MAX_TURN)).all(-1)
    is_inside = (sizes >= floor) & (down == centres[..., 1]) & is_ahead
    stays = is_inside | (torch.arange(states.shape[1]) < num_known)
    return torch.where(stays[..., None], states, bounded)


def keep_apart(states: Tensor, num_known: int = 0) -> Tensor:
    """Push faces sideways until no two are nearer than `MIN_GAP`; who is left of whom stays.

    They stay in the picture; where it has no room for all of them, they share what there is.

    Args:
        states: of the planner, (C, T, STATE).
        num_known: the first frames, which are finished and stay. They say who is left of whom;
            without any, the mean over all frames does.

    Returns:
        (C, T, STATE); equal to the input where faces lie apart.
    """
    centres, sizes = places(states)
    margins = MIN_SIDE * sizes
    judged = centres[:, :num_known] if num_known else centres
    order = judged[..., 0].mean(1).argsort().tolist()
    across, down = centres[..., 0].clone(), centres[..., 1]
    least = _least_gap(sizes)
    pairs = [
        (left, right, _needed(least * (sizes[left] + sizes[right]) / 2, down[left] - down[right]))
        for left, right in combinations(order, 2)
    ]
    for _ in range(_ROUNDS):
        for left, right, gap in pairs:
            push = (gap - (across[right] - across[left])).clamp(min=0) / 2
            across[left] -= push
            across[right] += push
    across = across.clamp(min=margins)
    for left, right, gap in pairs:
        across[right] = across[right].maximum(across[left] + gap)
    across = across.clamp(max=_ASPECT - margins)
    for left, right, gap in reversed(pairs):
        across[left] = across[left].minimum(across[right] - gap)
    across = across.clamp(min=margins)
    pushed = moved(states, torch.stack([across, down], dim=-1))
    stays = (across == centres[..., 0]) | (torch.arange(states.shape[1]) < num_known)
    return torch.where(stays[..., None], states, pushed)


def _least_gap(sizes: Tensor) -> Tensor:
    """Face sizes between two centres (T,): fewer where the picture has no room for all (C, T)."""
    room = _ASPECT / sizes.mean(0) - 2 * MIN_SIDE
    return (room / max(1, len(sizes) - 1)).clamp(0, MIN_GAP)


def _needed(gap: Tensor, above: Tensor) -> Tensor:
    """How far apart two centres must be across, given how far one is above the other."""
    return (gap.square() - above.square()).clamp(min=0).sqrt()
