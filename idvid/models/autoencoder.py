"""The small frame autoencoder of idvid-mini: pictures to latents and back, one frame at a time.

A linear 8x8 patch transform (fitted by principal components before training) carries most of the
picture; two small convolutional networks add what a linear map cannot. Knows nothing of time,
text or identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

from idvid.models.convolutions import ResidualBlock, grow, shrink, zero

if TYPE_CHECKING:
    from torch import Tensor

SPATIAL_FACTOR = 8


class FrameAutoencoder(ModelMixin, ConfigMixin):
    """Frames (B, 3, H, W) in -1..1 to latents (B, latent_channels, H/8, W/8) and back.

    Latents are normalised with `latent_mean` and `latent_std` (per channel), so that they have
    about zero mean and unit variance over the training data.
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 12,
        widths: tuple[int, int, int] = (48, 96, 192),
        decoder_blocks: tuple[int, int, int] = (1, 2, 3),
        encoder_blocks: tuple[int, int, int] = (0, 1, 2),
    ) -> None:
        super().__init__()
        half, quarter, eighth = widths
        self.linear_encode = nn.Conv2d(3, latent_channels, SPATIAL_FACTOR, SPATIAL_FACTOR)
        self.linear_decode = nn.ConvTranspose2d(latent_channels, 3, SPATIAL_FACTOR, SPATIAL_FACTOR)
        self.encoder = nn.Sequential(
            shrink(3, half),
            *(ResidualBlock(half) for _ in range(encoder_blocks[0])),
            shrink(half, quarter),
            *(ResidualBlock(quarter) for _ in range(encoder_blocks[1])),
            shrink(quarter, eighth),
            *(ResidualBlock(eighth) for _ in range(encoder_blocks[2])),
            nn.SiLU(),
            nn.Conv2d(eighth, latent_channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latent_channels, eighth, 3, padding=1),
            *(ResidualBlock(eighth) for _ in range(decoder_blocks[2])),
            grow(eighth, quarter),
            *(ResidualBlock(quarter) for _ in range(decoder_blocks[1])),
            grow(quarter, half),
            *(ResidualBlock(half) for _ in range(decoder_blocks[0])),
            nn.SiLU(),
            nn.Conv2d(half, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )
        zero(self.encoder[-1])
        zero(self.decoder[-2])
        self.register_buffer("latent_mean", torch.zeros(latent_channels))
        self.register_buffer("latent_std", torch.ones(latent_channels))

    def encode_raw(self, frames: Tensor) -> Tensor:
        """Encode (B, 3, H, W) in -1..1 without normalising the latents."""
        return self.linear_encode(frames) + self.encoder(frames)

    def decode_raw(self, latents: Tensor) -> Tensor:
        """Decode latents that were not normalised to (B, 3, H, W), about -1..1."""
        return self.linear_decode(latents) + self.decoder(latents)

    def encode(self, frames: Tensor) -> Tensor:
        """Encode frames (B, 3, H, W) in -1..1; H and W are multiples of 8."""
        mean, std = self._statistics()
        return (self.encode_raw(frames) - mean) / std

    def decode(self, latents: Tensor) -> Tensor:
        """Decode normalised latents (B, latent_channels, H/8, W/8) to frames in -1..1."""
        return self.decode_open(latents).clamp(-1, 1)

    def decode_open(self, latents: Tensor) -> Tensor:
        """As `decode`, about -1..1: gradients come back from beyond the ends too."""
        mean, std = self._statistics()
        return self.decode_raw(latents * std + mean)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        return self.latent_mean.view(1, -1, 1, 1), self.latent_std.view(1, -1, 1, 1)

    @torch.no_grad()
    def fit_linear(self, frames: Tensor) -> None:
        """Fit the linear path to the principal components of 8x8 patches of (B, 3, H, W)."""
        size, channels = SPATIAL_FACTOR, self.config["latent_channels"]
        patches = functional.unfold(frames, size, stride=size).transpose(1, 2).flatten(0, 1)
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
        basis = vectors[:, -channels:].T  # (latent_channels, 192), orthonormal rows
        scale = values[-channels:].clamp(min=1e-6).sqrt()
        # Square roots of the deviations keep strong components strong without letting them rule.
        scale = scale.sqrt()
        assert self.linear_encode.bias is not None
        assert self.linear_decode.bias is not None
        self.linear_encode.weight.copy_((basis / scale[:, None]).view(channels, 3, size, size))
        self.linear_encode.bias.copy_(-(basis @ mean) / scale)
        self.linear_decode.weight.copy_((basis * scale[:, None]).view(channels, 3, size, size))
        self.linear_decode.bias.copy_(mean.view(3, -1).mean(1))
