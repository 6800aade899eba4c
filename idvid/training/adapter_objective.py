"""What a Wan adapter is trained for: the velocity of the flow, and faces that stay who they are.

    z = (1 - s) x + s e,  v = e - x,  loss = |v' - v|^2 + weight * identity loss of z - s v'

The base model, its autoencoder and the face backbone are frozen (Lipman et al. 2023 for the flow;
the identity loss is the article's, through the autoencoder's decoder).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from idvid.conditioning.regions import bands, face_regions
from idvid.conditioning.wan_tokens import wan_identity
from idvid.faces.align import arcface_chips
from idvid.models.identity_loss import identity_preservation_loss
from idvid.models.wan_attention import WanIdentity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from torch import Tensor

    from idvid.models.wan_adapter import WanIdentityAdapter
    from idvid.pipeline.vace_conditions import LatentCoder
    from idvid.training.adapter_data import AdapterClip

TIMESTEPS = 1000
MAX_LEVEL = 0.5  # above it a predicted face is a mean of many
_PATCH_PX = 16
_UNSHIFTED = 0.25  # share of draws


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draw:
    """One step's noise: the clip is seen in each of D draws."""

    levels: tuple[float, ...]  # D of them: s, 0 clean .. 1 noise
    noise: Tensor  # (D, 16, f, h, w)


def noise_levels(rng: Generator, count: int, shift: float) -> tuple[float, ...]:
    """Levels s of `count` draws: logit-normal, most of them shifted towards noise.

        s' = a s / (1 + (a - 1) s)

    Logit-normal levels and their shift by a factor a are Esser et al. 2024, sections 3.1 and 5.3.2.
    One in four draws stays unshifted, or under a high shift no level would be low enough for the
    identity loss.

    Args:
        rng: where they come from.
        count: how many.
        shift: a, 1 for none.
    """
    levels = 1 / (1 + np.exp(-rng.standard_normal(count)))
    factors = np.where(rng.random(count) < _UNSHIFTED, 1.0, shift)
    return tuple((factors * levels / (1 + (factors - 1) * levels)).tolist())


def scheduler_shift(scheduler: Any) -> float:  # noqa: ANN401 - diffusers' schedulers
    """The shift a that a pipeline's scheduler draws with; 1 where it has none."""
    config = scheduler.config
    return float(config.get("flow_shift") or config.get("shift") or 1.0)


class AdapterObjective(nn.Module):
    """The losses of one clip; only the adapter's parameters need gradients."""

    def __init__(
        self,
        transformer: nn.Module,
        adapter: WanIdentityAdapter,
        coder: LatentCoder,
        weights: tuple[float, float],
        decoded_frames: int = 5,
    ) -> None:
        """Put the models together.

        Args:
            transformer: the base model with the adapter's layers attached.
            adapter: what is trained.
            coder: the base model's autoencoder.
            weights: of the identity-preservation loss, and of its temporal term in it.
            decoded_frames: 4 n + 1 frames on which faces are compared.
        """
        super().__init__()
        self.transformer = transformer  # the identity layers are on it
        self.identity_encoder = adapter.identity_encoder
        self.identity_bank = adapter.identity_bank
        self._frozen = (adapter, coder)
        self._weight, self._temporal_weight = weights
        self._decoded = decoded_frames

    def forward(
        self, clip: AdapterClip, latents: Tensor, text: Tensor, draw: Draw
    ) -> dict[str, Tensor]:
        """Losses by name; "loss" is the one to minimise.

        Args:
            clip: people and references.
            latents: of its video (1, 16, f, h, w), normalised.
            text: of its caption (1, L, D).
            draw: noises; faces are compared in the first one whose level is low enough.
        """
        level = latents.new_tensor(draw.levels).view(-1, 1, 1, 1, 1)
        noisy = (1 - level) * latents + level * draw.noise
        velocity = self.predict(clip, noisy, text, draw.levels)
        flow = functional.mse_loss(velocity.float(), draw.noise - latents)
        identity = flow.new_zeros(())
        clear = [index for index, s in enumerate(draw.levels) if s < MAX_LEVEL]
        if self._weight > 0 and clear:
            one = slice(
                clear[0], clear[0] + 1
            )  # the decoder's backward pass is what memory goes to
            identity = self._identity_loss(clip, noisy[one] - level[one] * velocity[one])
        return {"loss": flow + self._weight * identity, "flow": flow, "identity": identity}

    def predict(
        self, clip: AdapterClip, noisy: Tensor, text: Tensor, levels: Sequence[float]
    ) -> Tensor:
        """The velocity (D, 16, f, h, w) that the model sees in a clip's latents, D times noisy."""
        count = len(levels)
        adapter, coder = self._frozen
        transformer: Any = self.transformer
        tokens, _ = wan_identity(adapter, clip.crops)
        grid = (noisy.shape[2], noisy.shape[3] // 2, noisy.shape[4] // 2)
        identity = WanIdentity(tokens={"cond": tokens}, regions=_regions(clip, grid))
        values: dict[str, Any] = {"attention_kwargs": {"identity": identity}}
        if "vace_layers" in transformer.config:
            values["control_hidden_states"] = _nothing(coder, clip, count).to(
                noisy.device, text.dtype
            )
        return transformer(
            hidden_states=noisy.to(text.dtype),
            timestep=torch.tensor([level * TIMESTEPS for level in levels], device=noisy.device),
            encoder_hidden_states=text.expand(count, -1, -1),
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
            self._temporal_weight,
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
def _nothing(coder: LatentCoder, clip: AdapterClip, count: int) -> Tensor:
    """VACE's control latents (count, 96, f, h, w) where nothing is given and all is to be made."""
    frames, height, width = clip.video.shape[2:]
    grey = coder.nothing((frames, height, width))
    masks = grey.new_ones(1, 64, *grey.shape[2:])
    return torch.cat([grey, grey, masks], dim=1).expand(count, -1, -1, -1, -1)
