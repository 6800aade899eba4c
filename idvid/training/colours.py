"""Changes of a picture's colours that leave open what it shows. Knows tensors only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from idvid.training.pool import Draws

_CONTRAST, _BRIGHTNESS, _TINT = 0.3, 0.2, 0.1


def recoloured(pictures: tuple[Tensor, ...], draws: Draws) -> list[Tensor]:
    """The same change of contrast, brightness and tint for row k of each: (B, 3, H, W) in -1..1."""
    first = pictures[0]

    def spread(amount: float, *shape: int) -> Tensor:
        values = torch.rand(len(first), *shape, generator=draws.torch, device=first.device)
        return amount * (2 * values - 1)

    contrast = 1 + spread(_CONTRAST, 1, 1, 1)
    shift = spread(_BRIGHTNESS, 1, 1, 1) + spread(_TINT, 3, 1, 1)
    return [(picture * contrast + shift).clamp(-1, 1) for picture in pictures]
