"""Planning the faces of a window: where they are and what they do, from the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from idvid.models.face_planner import STATE, smoothed, to_landmarks, window_noise
from idvid.pipeline.denoise import denoise, guide
from idvid.pipeline.spacing import keep_apart, keep_in_view

if TYPE_CHECKING:
    from torch import Tensor

    from idvid.models.conditions import Prompt
    from idvid.models.face_planner import FacePlanner
    from idvid.pipeline.windows import Remembered

_STEPS = 12
# Classifier-free guidance by the prompt. At 2 plans spread as widely as the renderer's scenes do; more
# obeys hardly better (docs/log.md).
_GUIDANCE = 2.0
_SMOOTHING = (0.25, 0.5, 0.25)  # over three frames, against jitter below what the eye follows


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What the planner reads: the prompt, the characters' slots, and when each frame is."""

    prompt: Prompt  # the planner's own tokens: told, then silent (2 rows)
    slots: Tensor  # (1, C)
    time_s: Tensor  # (1, F + T) seconds since the first frame in view


@torch.no_grad()
def plan_states(
    planner: FacePlanner,
    request: PlanRequest,
    view: tuple[Remembered, ...],
    generator: torch.Generator,
) -> Tensor:
    """Planner states (C, T, STATE) of the new frames, continuing the frames in view."""
    characters = request.slots.shape[1]
    count = request.time_s.shape[1] - len(view)
    finished = torch.zeros(1, characters, 0, STATE)
    if view:
        finished = torch.stack([item.state for item in view], dim=1)[None]
    noise = window_noise((1, characters, count, STATE), generator)
    is_present = torch.ones(1, characters, dtype=torch.bool)

    def predict(state: Tensor, level: Tensor) -> Tensor:
        rows = (state, level, request.time_s, request.slots, is_present)
        told, silent = planner(*(torch.cat([row, row]) for row in rows), request.prompt)
        return guide(told, silent, _GUIDANCE)[None]

    *_, states = denoise(noise, finished, predict, _STEPS, frame_dim=2)
    smooth = smoothed(torch.cat([finished, states], dim=2)[0], _SMOOTHING)
    visible = keep_in_view(smooth, len(view))
    return keep_apart(visible, len(view))[:, len(view) :]


def plan_landmarks(states: Tensor, height_px: int) -> Tensor:
    """Landmarks (C, T, 5, 2) in px, counted from pixel centres, of states (C, T, STATE)."""
    return to_landmarks(states) * height_px - 0.5
