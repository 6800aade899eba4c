"""Convolutional building blocks of the small picture networks. Knows no faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


class ResidualBlock(nn.Module):
    """Pre-activation residual block: norm, SiLU, 3x3, SiLU, 3x3 (He et al. 2016); changes nothing at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        zero(self.second)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        inner = self.first(functional.silu(self.norm(hidden)))
        return hidden + self.second(functional.silu(inner))


def zero(layer: nn.Module) -> None:
    """Set all weights of a layer to zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def shrink(width_in: int, width_out: int) -> nn.Sequential:
    """Halve height and width."""
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * width_in, width_out, 1))


def grow(width_in: int, width_out: int) -> nn.Sequential:
    """Double height and width."""
    return nn.Sequential(nn.Conv2d(width_in, 4 * width_out, 1), nn.PixelShuffle(2))
