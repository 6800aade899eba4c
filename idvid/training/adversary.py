"""A small judge of patches, against which the decoder learns to draw what renders look like.

Pictures come in pairs, true and drawn, and what counts is which of the two looks truer (relativistic
pairing: Jolicoeur-Martineau 2019; Huang et al. 2024, "The GAN is dead; long live the GAN!"). Its
gradients at true pictures are kept small by their finite differences (Lin et al. 2025, "Diffusion
adversarial post-training").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

_NUDGE = 0.03  # standard deviation of the noise of the finite differences; bfloat16 must show it
_STEADY = 10.0  # weight of their square


class PatchAdversary(nn.Module):
    """Pictures (B, 3, H, W) in -1..1 to one number per patch (B, 1, H / 8, W / 8): higher is truer."""

    def __init__(self, widths: tuple[int, int, int] = (48, 96, 192)) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.layers = nn.Sequential(
            nn.Conv2d(3, fine, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(fine, middle, 4, 2, 1),
            nn.GroupNorm(8, middle),
            nn.LeakyReLU(0.2),
            nn.Conv2d(middle, coarse, 4, 2, 1),
            nn.GroupNorm(8, coarse),
            nn.LeakyReLU(0.2),
            nn.Conv2d(coarse, coarse, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(coarse, 1, 1),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Say of every patch how true it looks."""
        return self.layers(pictures)


def deceived(adversary: nn.Module, drawn: Tensor, true: Tensor) -> Tensor:
    """The drawer's loss; gradients reach `drawn` alone."""
    frozen = {name: value.detach() for name, value in adversary.named_parameters()}
    with torch.no_grad():
        truth = adversary(true).float()
    seen = functional_call(adversary, frozen, (drawn,)).float()
    return functional.softplus(truth - seen).mean()


def unmasked(
    adversary: nn.Module, drawn: Tensor, true: Tensor, generator: torch.Generator
) -> Tensor:
    """The adversary's own loss; gradients reach it alone."""
    noise = torch.randn(true.shape, generator=generator, device=true.device)
    nudged = true + _NUDGE * noise
    seen, truth, beside = adversary(torch.cat([drawn.detach(), true, nudged])).float().chunk(3)
    return functional.softplus(seen - truth).mean() + _STEADY * (truth - beside).square().mean()
