"""Planned faces kept apart: where two lie on each other, the video model draws one face of both."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from idvid.models.face_planner import moved, places

# Face sizes between two centres. In 99% of the frames of people who stand side by side (shards
# without events) there are more: 1.0 in threes, 1.7 in twos.
MIN_GAP = 1.05
_ROUNDS = 12  # pushing one pair apart may push it into a third


def keep_apart(states: Tensor, num_known: int = 0) -> Tensor:
    """Push faces sideways until no two are nearer than `MIN_GAP`; who is left of whom stays.

    Args:
        states: of the planner, (C, T, STATE).
        num_known: the first frames, which are finished and stay. They say who is left of whom;
            without any, the mean over all frames does.

    Returns:
        (C, T, STATE); equal to the input where faces lie apart.
    """
    centres, sizes = places(states)
    judged = centres[:, :num_known] if num_known else centres
    order = judged[..., 0].mean(1).argsort().tolist()
    across, down = centres[..., 0].clone(), centres[..., 1]
    for _ in range(_ROUNDS):
        for left, right in combinations(order, 2):
            gap = MIN_GAP * (sizes[left] + sizes[right]) / 2
            needed = (gap.square() - (down[left] - down[right]).square()).clamp(min=0).sqrt()
            push = (needed - (across[right] - across[left])).clamp(min=0) / 2
            across[left] -= push
            across[right] += push
    pushed = moved(states, torch.stack([across, down], dim=-1))
    is_free = (across == centres[..., 0]) | (torch.arange(states.shape[1]) < num_known)
    return torch.where(is_free[..., None], states, pushed)
