"""Reenactment: how a head cut out of a photo must change to be turned and to move as a face plan says.

The head, laid upright, goes through a small U-Net (Ronneberger et al. 2015) that is told the pose and
the expression wanted. It answers with a flow along which photo and matte are warped, and with a mask
and paint for what the photo does not show, such as teeth, closed lids or the far side of the hair
(Siarohin et al. 2019, "First order motion model for image animation"). The photo's own expression is
seen in it. Cut-outs are premultiplied (Porter and Duff 1984): colours in -1..1 times the matte, so what
is behind somebody is 0 on every photo, and the matte in 0..1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

from idvid.models.convolutions import grow, shrink
from idvid.models.face_plan import (
    NUM_EXPRESSION,
    NUM_LANDMARKS,
    face_frame,
    pose_residual,
    standardised,
    turned_like,
)
from idvid.models.head_crops import crop_grid, on_crop

if TYPE_CHECKING:
    from torch import Tensor

_POSE_GAIN = 4.0  # brings residuals and rolls to about unit spread
_TOLD = 4 * NUM_LANDMARKS + 2 + NUM_EXPRESSION
_FLOW_GAIN = 0.2  # face widths of flow that an output of 1 stands for
_BORDER = 0.25  # of the crop's half side, over which changes fade out
_FLOW, _MASK, _COLOUR, _MATTE, _PLACES = 2, 1, 3, 1, 2


class Reenactment(NamedTuple):
    """What changes, on the crop's grid in face coordinates; flow and mask are 0 at the border."""

    flow: Tensor  # (N, 2, S, S) where in the photo to look, in face widths from the same place
    mask: Tensor  # (N, 1, S, S) 0..1: how far paint replaces what is found there
    paint: Tensor  # (N, 4, S, S) premultiplied


class HeadReenactor(ModelMixin, ConfigMixin):
    """Cut-outs (N, 4, S, S) of heads and what is wanted of them to a `Reenactment`."""

    @register_to_config
    def __init__(
        self,
        size_px: int = 96,  # noqa: ARG002 - read from the config
        widths: tuple[int, int, int] = (24, 48, 96),
        code: int = 96,
        coarse_blocks: int = 3,
    ) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.read = nn.Sequential(
            nn.Linear(_TOLD, code), nn.SiLU(), nn.Linear(code, code), nn.SiLU()
        )
        inputs = 4 * (_COLOUR + _MATTE + _PLACES)
        self.enter = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(inputs, fine, 3, padding=1))
        self.fine_in = _Block(fine, code)
        self.shrink = shrink(fine, middle)
        self.middle_in = _Block(middle, code)
        self.shrink_again = shrink(middle, coarse)
        self.coarse = nn.ModuleList([_Block(coarse, code) for _ in range(coarse_blocks)])
        self.grow = grow(coarse, middle)
        self.middle_out = _Block(middle, code)
        self.grow_again = grow(middle, fine)
        self.fine_out = _Block(fine, code)
        last = nn.Conv2d(fine, 4 * (_FLOW + _MASK + _COLOUR + _MATTE), 3, padding=1)
        self.leave = nn.Sequential(last, nn.PixelShuffle(2))
        assert last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        nn.init.constant_(last.bias[8:12], -3.0)  # at first hardly anything is painted

    def forward(self, heads: Tensor, told: Tensor) -> Reenactment:
        """How each head changes.

        Args:
            heads: (N, 4, S, S), see `premultiplied`, of crops cut as `head_crops` says.
            told: (N, F) of `wanted`.
        """
        size = heads.shape[-1]
        places = crop_grid(size, heads).to(heads).T.reshape(1, _PLACES, size, size)
        whole = torch.cat([heads, places.expand(len(heads), -1, -1, -1)], dim=1)
        code = self.read(told.to(heads.dtype))
        fine = self.fine_in(self.enter(whole), code)
        middle = self.middle_in(self.shrink(fine), code)
        coarse = self.shrink_again(middle)
        for block in self.coarse:
            coarse = block(coarse, code)
        middle = self.middle_out(middle + self.grow(coarse), code)
        fine = self.fine_out(fine + self.grow_again(middle), code)
        out = self.leave(fine).float()
        flow, mask, colour, matte = out.split((_FLOW, _MASK, _COLOUR, _MATTE), dim=1)
        fade = _fade(size, out)
        return Reenactment(
            flow=_FLOW_GAIN * flow * fade,
            mask=mask.sigmoid() * fade,
            paint=premultiplied(colour.tanh(), matte.sigmoid()),
        )


class _Block(nn.Module):
    """Residual block whose features are scaled and shifted by a code (FiLM, Perez et al. 2018)."""

    def __init__(self, width: int, code: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(code, 2 * width)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, hidden: Tensor, code: Tensor) -> Tensor:
        inner = self.first(functional.silu(self.norm(hidden)))
        scale, shift = self.film(code)[:, :, None, None].chunk(2, dim=1)
        return hidden + self.second(functional.silu(inner * (1 + scale) + shift))


def wanted(source: Tensor, target: Tensor, expression: Tensor, turned: float = 1.0) -> Tensor:
    """What a reenactor is told: (N, F).

    A plan's faces are nobody's: only how they are turned is told, not how long their noses are.

    Args:
        source: landmarks (N, 5, 2) of the photos.
        target: landmarks (N, 5, 2) that are wanted.
        expression: what is wanted (N, E).
        turned: share of the way from the photo's pose to the one that is wanted.
    """
    here, there = pose_residual(source), pose_residual(target)
    there = torch.lerp(here, turned_like(here, there), turned)
    rolls = [_POSE_GAIN * _roll(points) for points in (source, target)]
    poses = [_POSE_GAIN * residual.flatten(1) for residual in (here, there)]
    return torch.cat([*poses, *rolls, standardised(expression)], dim=1)


def _roll(landmarks: Tensor) -> Tensor:
    """Sine of the angle by which heads lean (N, 1): shoulders, which a crop shows askew, do not."""
    axis = face_frame(landmarks)[1]
    return axis[:, 1:] / axis.norm(dim=-1, keepdim=True).clamp(min=1e-6)


def premultiplied(colours: Tensor, mattes: Tensor) -> Tensor:
    """Cut-outs (N, 4, ...) of colours (N, 3, ...) in -1..1 and mattes (N, 1, ...) in 0..1."""
    return torch.cat([colours * mattes, mattes], dim=1)


def reenacted(heads: Tensor, change: Reenactment) -> Tensor:
    """The changed heads (N, 4, S, S)."""
    size = heads.shape[-1]
    places = crop_grid(size, heads) + change.flow.flatten(2).transpose(1, 2)
    warped = functional.grid_sample(
        heads,
        on_crop(places).unflatten(1, (size, size)),
        align_corners=False,
        padding_mode="border",
    )
    return warped + change.mask * (change.paint - warped)


def _fade(size_px: int, like: Tensor) -> Tensor:
    """1 inside a crop, falling to 0 at its border: (S, S)."""
    distance = 1 - (((torch.arange(size_px, device=like.device) + 0.5) / size_px) * 2 - 1).abs()
    side = (distance / _BORDER).clamp(max=1)
    side = side * side * (3 - 2 * side)
    return side[:, None] * side
