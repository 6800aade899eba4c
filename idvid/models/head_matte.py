"""Matting: which part of a photo is the person whose face it shows, hair and shoulders included.

A small U-Net (Ronneberger et al. 2015) reads the photo's head, laid upright, and answers with the
share of every pixel that shows the person, without a trimap (as MODNet, Ke et al. 2022). Whose head it
is follows from its place alone: the one in the middle of the crop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from idvid.models.convolutions import ResidualBlock, grow, shrink
from idvid.models.head_crops import crop_grid

if TYPE_CHECKING:
    from torch import Tensor

_COLOURS, _PLACES = 3, 2


class HeadMatte(ModelMixin, ConfigMixin):
    """Heads (N, 3, S, S) in -1..1, cut as `head_crops` says, to mattes (N, 1, S, S) in 0..1."""

    @register_to_config
    def __init__(
        self,
        size_px: int = 96,  # noqa: ARG002 - read from the config
        widths: tuple[int, int, int] = (16, 32, 64),
        coarse_blocks: int = 3,
    ) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.enter = shrink(_COLOURS + _PLACES, fine)
        self.fine_in = ResidualBlock(fine)
        self.shrink = shrink(fine, middle)
        self.middle_in = ResidualBlock(middle)
        self.shrink_again = shrink(middle, coarse)
        self.coarse = nn.Sequential(*(ResidualBlock(coarse) for _ in range(coarse_blocks)))
        self.grow = grow(coarse, middle)
        self.middle_out = ResidualBlock(middle)
        self.grow_again = grow(middle, fine)
        self.fine_out = ResidualBlock(fine)
        self.leave = grow(fine, 1)

    def forward(self, heads: Tensor) -> Tensor:
        """Mattes (N, 1, S, S) of heads (N, 3, S, S)."""
        size = heads.shape[-1]
        places = crop_grid(size, heads).to(heads).T.reshape(1, _PLACES, size, size)
        whole = torch.cat([heads, places.expand(len(heads), -1, -1, -1)], dim=1)
        fine = self.fine_in(self.enter(whole))
        middle = self.middle_in(self.shrink(fine))
        coarse = self.coarse(self.shrink_again(middle))
        middle = self.middle_out(middle + self.grow(coarse))
        fine = self.fine_out(fine + self.grow_again(middle))
        return self.leave(fine).float().sigmoid()
