"""What a Wan adapter is trained for: the velocity of the flow, and faces that stay who they are.

    z = (1 - s) x + s e,  v = e - x,  loss = |v' - v|^2 + weight * identity loss of z - s v'

The base model, its autoencoder and the face backbone are frozen (Lipman et al. 2023 for the flow;
the identity loss is the article's, through the autoencoder's decoder).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from idvid.conditioning.regions import bands, face_regions
from idvid.conditioning.wan_tokens import wan_identity
from idvid.faces.align import arcface_chips
from idvid.models.identity_loss import identity_preservation_loss
from idvid.models.wan_attention import WanIdentity

if TYPE_CHECKING:
    from torch import Tensor

    from idvid.models.wan_adapter import WanIdentityAdapter
    from idvid.pipeline.vace_conditions import LatentCoder
    from idvid.training.adapter_data import AdapterClip

TIMESTEPS = 1000
MAX_LEVEL = 0.5  # above it a predicted face is a mean of many
_PATCH_PX = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draw:
    """One step's noise."""

    level: float  # s, 0 clean .. 1 noise
    noise: Tensor  # (1, 16, f, h, w)


class AdapterObjective(nn.Module):
    """The losses of one clip; only the adapter's parameters need gradients."""

    def __init__(
        self,
        transformer: nn.Module,
        adapter: WanIdentityAdapter,
        coder: LatentCoder,
        identity_weight: float,
        decoded_frames: int = 5,
    ) -> None:
        """Args: decoded_frames: 4 n + 1 frames on which faces are compared."""
        super().__init__()
        self.transformer = transformer  # the identity layers are on it
        self.identity_encoder = adapter.identity_encoder
        self.identity_bank = adapter.identity_bank
        self._frozen = (adapter, coder)
        self._weight, self._decoded = identity_weight, decoded_frames

    def forward(
        self, clip: AdapterClip, latents: Tensor, text: Tensor, draw: Draw
    ) -> dict[str, Tensor]:
        """Losses by name; "loss" is the one to minimise.

        Args:
            clip: people and references.
            latents: of its video (1, 16, f, h, w), normalised.
            text: of its caption (1, L, D).
            draw: noise.
        """
        noisy = (1 - draw.level) * latents + draw.level * draw.noise
        velocity = self.predict(clip, noisy, text, draw)
        flow = functional.mse_loss(velocity.float(), draw.noise - latents)
        identity = flow.new_zeros(())
        if self._weight > 0 and draw.level < MAX_LEVEL:
            identity = self._identity_loss(clip, noisy - draw.level * velocity)
        return {"loss": flow + self._weight * identity, "flow": flow, "identity": identity}

    def predict(self, clip: AdapterClip, noisy: Tensor, text: Tensor, draw: Draw) -> Tensor:
        """The velocity (1, 16, f, h, w) that the model sees in noisy latents of a clip."""
        adapter, coder = self._frozen
        transformer: Any = self.transformer
        tokens, _ = wan_identity(adapter, clip.crops)
        grid = (noisy.shape[2], noisy.shape[3] // 2, noisy.shape[4] // 2)
        identity = WanIdentity(tokens={"cond": tokens}, regions=_regions(clip, grid))
        values: dict[str, Any] = {"attention_kwargs": {"identity": identity}}
        if "vace_layers" in transformer.config:
            values["control_hidden_states"] = _nothing(coder, clip).to(noisy.device, text.dtype)
        return transformer(
            hidden_states=noisy.to(text.dtype),
            timestep=torch.tensor([draw.level * TIMESTEPS], device=noisy.device),
            encoder_hidden_states=text,
            return_dict=False,
            **values,
        )[0]

    def _identity_loss(self, clip: AdapterClip, clean: Tensor) -> Tensor:
        adapter, coder = self._frozen
        count = min(self._decoded, clip.video.shape[2])
        video = coder.video(clean[:, :, : (count - 1) // 4 + 1]).float()[0].transpose(0, 1)
        people, device = len(clip.landmarks), video.device
        points = clip.landmarks[:, :count].to(device).flatten(0, 1)  # (C * F, 5, 2)
        chips = arcface_chips(video.repeat(people, 1, 1, 1), points).unflatten(0, (people, count))
        with torch.no_grad():
            vectors = adapter.backbone(clip.crops.chips.to(device).flatten(0, 1))
        vectors = vectors.unflatten(0, (people, -1))
        is_photo = clip.crops.has_reference.to(device)[..., None]
        return identity_preservation_loss(
            chips,
            torch.where(is_photo, vectors, vectors[:, :1]),  # padding looks like nobody
            adapter.backbone,
            has_face=clip.is_visible[:, :count].to(device),
        )


def _regions(clip: AdapterClip, grid: tuple[int, int, int]) -> Tensor:
    """Where each face is in the middle of the clip; bands where nobody is seen there."""
    middle = clip.landmarks.shape[1] // 2
    seen = clip.is_visible[:, middle].tolist()
    if not any(seen):
        return bands(len(clip.landmarks), grid)
    points = [p if s else None for p, s in zip(clip.landmarks[:, middle], seen, strict=True)]
    return face_regions(points, grid, grid[1] * _PATCH_PX)


@torch.no_grad()
def _nothing(coder: LatentCoder, clip: AdapterClip) -> Tensor:
    """VACE's control latents (1, 96, f, h, w) where nothing is given and all is to be made."""
    frames, height, width = clip.video.shape[2:]
    grey = coder.nothing((frames, height, width))
    masks = grey.new_ones(1, 64, *grey.shape[2:])
    return torch.cat([grey, grey, masks], dim=1)
