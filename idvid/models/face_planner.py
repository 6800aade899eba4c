"""Where will every face be, and what will it do? A small diffusion model conditioned on the prompt.

It plans each character's five landmarks and expression for every frame of a window; the video model
then draws to the plan. A token is one character in one frame; every frame has its own noise level,
as in `video_transformer`, so that a window continues the one before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from torch import nn

from idvid.config import EXPRESSION
from idvid.models.face_plan import (
    NUM_EXPRESSION,
    NUM_LANDMARKS,
    face_frame,
    from_standardised,
    pose_residual,
    standardised,
    template,
)
from idvid.models.layers import TransformerLayer, padding_bias, sinusoidal

if TYPE_CHECKING:
    from torch import Tensor

    from idvid.models.conditions import Prompt

_PLACE = 4 + 2 * NUM_LANDMARKS  # numbers of a state that say where a face is
STATE = _PLACE + NUM_EXPRESSION
TIME_SCALE = 12.0
# Share of the noise's variance that all frames of a character have in common.
SHARED_NOISE = 0.95
_SHARED_FAST = 0.5  # of what changes from frame to frame: jaw, rounded mouth, lids
_FAST = tuple(_PLACE + EXPRESSION.index(n) for n in ("jaw_open", "mouth_round", "lids_close"))
# Roughly the spread of each part over the training scenes, so that all parts weigh alike.
_ORIGIN_SHIFT = (0.875, 0.4)
_ORIGIN_SCALE = (0.45, 0.08)
_SIZE_SHIFT, _SIZE_SCALE = -1.05, 0.25
_ROLL_SCALE, _RESIDUAL_SCALE = 0.12, 0.05
_NOSE = slice(_PLACE - 2, _PLACE)  # of a state: the last landmark


def to_state(landmarks: Tensor, expression: Tensor) -> Tensor:
    """A face plan as numbers of about unit spread (..., STATE).

    Args:
        landmarks: (..., 5, 2) in frame heights.
        expression: (..., NUM_EXPRESSION), see `config.EXPRESSION`.
    """
    origin, axis = face_frame(landmarks)
    shift, scale = origin.new_tensor(_ORIGIN_SHIFT), origin.new_tensor(_ORIGIN_SCALE)
    size = axis.square().sum(-1, keepdim=True).clamp(min=1e-8).log() / 2
    roll = torch.atan2(axis[..., 1:], axis[..., :1])
    parts = [
        (origin - shift) / scale,
        (size - _SIZE_SHIFT) / _SIZE_SCALE,
        roll / _ROLL_SCALE,
        pose_residual(landmarks).flatten(-2) / _RESIDUAL_SCALE,
        standardised(expression),
    ]
    return torch.cat(parts, dim=-1)


def to_expression(state: Tensor) -> Tensor:
    """What `to_state` was told of the faces' expressions (..., NUM_EXPRESSION)."""
    return from_standardised(state[..., _PLACE:])


def to_landmarks(state: Tensor) -> Tensor:
    """What `to_state` was told of the faces' landmarks (..., 5, 2)."""
    origin, size = places(state)
    roll = state[..., 3] * _ROLL_SCALE
    along = torch.stack([roll.cos(), roll.sin()], dim=-1) * size[..., None]
    across = torch.stack([-along[..., 1], along[..., 0]], dim=-1)
    residual = state[..., 4:_PLACE].unflatten(-1, (NUM_LANDMARKS, 2)) * _RESIDUAL_SCALE
    points = template(state) + residual
    return (
        origin[..., None, :]
        + points[..., :1] * along[..., None, :]
        + points[..., 1:] * across[..., None, :]
    )


def places(state: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (..., 2) and sizes (...) of the faces, in frame heights."""
    shift, scale = state.new_tensor(_ORIGIN_SHIFT), state.new_tensor(_ORIGIN_SCALE)
    return state[..., :2] * scale + shift, (state[..., 2] * _SIZE_SCALE + _SIZE_SHIFT).exp()


def moved(state: Tensor, centre: Tensor) -> Tensor:
    """The same faces with their centres (..., 2), in frame heights, elsewhere."""
    shift, scale = state.new_tensor(_ORIGIN_SHIFT), state.new_tensor(_ORIGIN_SCALE)
    return torch.cat([(centre - shift) / scale, state[..., 2:]], dim=-1)


def resized(state: Tensor, size: Tensor) -> Tensor:
    """The same faces in other sizes (...), in frame heights."""
    scaled = (size.log() - _SIZE_SHIFT) / _SIZE_SCALE
    return torch.cat([state[..., :2], scaled[..., None], state[..., 3:]], dim=-1)


def turn(state: Tensor) -> Tensor:
    """How far faces are turned (..., 2): the nose's way off a frontal face's, right and down, in face sizes."""
    return state[..., _NOSE] * _RESIDUAL_SCALE


def turned_at_most(state: Tensor, limits: tuple[float, float]) -> Tensor:
    """The same faces, those that are turned further turned back to limits aside, and up or down."""
    share = (state.new_tensor(limits) / turn(state).abs().clamp(min=1e-6)).clamp(max=1).amin(-1)
    pose = state[..., 4:_PLACE] * share[..., None]
    return torch.cat([state[..., :4], pose, state[..., _PLACE:]], dim=-1)


def smoothed(state: Tensor, weights: tuple[float, float, float]) -> Tensor:
    """States (..., T, STATE) with places averaged over three frames; the first and last stay.

    Expressions are left as they are: a blink is two frames long.
    """
    if state.shape[-2] < len(weights):
        return state
    place, (before, here, after) = state[..., :_PLACE], weights
    middle = before * place[..., :-2, :] + here * place[..., 1:-1, :] + after * place[..., 2:, :]
    smooth = torch.cat([place[..., :1, :], middle, place[..., -1:, :]], dim=-2)
    return torch.cat([smooth, state[..., _PLACE:]], dim=-1)


def window_noise(
    shape: tuple[int, int, int, int], generator: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """Standard normal noise (B, C, T, STATE) that neighbouring frames mostly share.

    A face hardly moves from frame to frame; noise that hardly changes either leaves the model to
    learn the motion instead of the standing still (Ge et al. 2023, "Preserve your own correlation").
    """
    common = torch.randn(*shape[:2], 1, shape[3], generator=generator, device=device)
    own = torch.randn(shape, generator=generator, device=device)
    share = torch.full((shape[3],), SHARED_NOISE, device=device)
    share[list(_FAST)] = _SHARED_FAST
    return share.sqrt() * common + (1 - share).sqrt() * own


class FacePlanner(ModelMixin, ConfigMixin):
    """Predict clean states (B, C, T, STATE) from noisy ones and the prompt's tokens."""

    @register_to_config
    def __init__(
        self, width: int = 192, depth: int = 4, text_width: int = 192, max_characters: int = 8
    ) -> None:
        super().__init__()
        self.state_in = nn.Linear(STATE, width)
        self.slot_in = nn.Parameter(torch.randn(max_characters, width) * 0.02)
        self.count_in = nn.Parameter(torch.randn(max_characters + 1, width) * 0.02)
        self.mention_in = nn.Linear(text_width, width, bias=False)
        self.noise_in = nn.Sequential(nn.Linear(128, width), nn.SiLU(), nn.Linear(width, width))
        self.time_in = nn.Linear(64, width)
        self.layers = nn.ModuleList(TransformerLayer(width, text_width) for _ in range(depth))
        self.norm_out = nn.LayerNorm(width)
        self.state_out = nn.Linear(width, STATE)
        nn.init.zeros_(self.mention_in.weight)
        nn.init.zeros_(self.state_out.weight)
        nn.init.zeros_(self.state_out.bias)

    def forward(
        self,
        state: Tensor,
        noise_level: Tensor,
        time_s: Tensor,
        slots: Tensor,
        is_present: Tensor,
        prompt: Prompt,
    ) -> Tensor:
        """Predict the clean states.

        Args:
            state: (B, C, T, STATE) = t * clean + (1 - t) * noise.
            noise_level: (B, T) t of each frame, 1 is clean.
            time_s: (B, T) seconds since the window's first frame.
            slots: (B, C) slot of each character.
            is_present: (B, C) bool, False for padding.
            prompt: tokens of width `text_width`, and where they name each character.
        """
        characters, frames = state.shape[1:3]
        per_frame = self.noise_in(sinusoidal(noise_level * 1000, 128))
        per_frame = per_frame + self.time_in(sinusoidal(time_s * TIME_SCALE, 64, 200.0))
        per_character = self.slot_in[slots] + self.count_in[is_present.sum(1)][:, None]
        per_character = per_character + self.mention_in(prompt.of_characters())
        hidden = self.state_in(state) + per_frame[:, None] + per_character[:, :, None]
        hidden = rearrange(hidden, "b c t d -> b (c t) d")
        self_bias = padding_bias(is_present.repeat_interleave(frames, dim=1))
        text_bias = padding_bias(prompt.is_token)
        for layer in self.layers:
            hidden = layer(hidden, self_bias, prompt.tokens, text_bias)
        out = self.state_out(self.norm_out(hidden))
        return rearrange(out, "b (c t) s -> b c t s", c=characters)
