"""Latents of the bundled model to pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from idvid.models.autoencoder import FrameAutoencoder

_AT_ONCE = 4  # frames; more only take memory


def decode_frames(autoencoder: FrameAutoencoder, latents: Tensor) -> Tensor:
    """Pictures (T, 3, H, W) of about -1..1 of latents (T, C, h, w)."""
    return torch.cat([autoencoder.decode(part) for part in latents.split(_AT_ONCE)]).float()


def to_pixels(pictures: Tensor) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) RGB of pictures (T, 3, H, W)."""
    pixels = ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()
