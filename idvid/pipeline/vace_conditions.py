"""What VACE reads in one window: control latents, hint strengths and identity.

The arithmetic is `WanVACEPipeline`'s; tests hold it equal bit for bit. Two things differ: what is
encoded twice or again in every window there is encoded once here, and masks are laid out on latent
frames directly, where diffusers loses a kept frame in some lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from idvid.pipeline.placement import take_turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from idvid.models.wan_attention import WanIdentity
    from idvid.pipeline.vace_windows import VaceWindow

_SHRINK = 4  # of previews
TRAINED_STRENGTH = 1.0  # the identity_strength that is VACE's own conditioning_scale of 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VaceConditions:
    """Everything but the latents and their noise level."""

    control: Tensor  # (1, 96, R + f, h, w) latents of references and kept frames, and masks
    hint_scale: Tensor  # (L,) or (L, 1, N, 1) over L VACE layers
    num_references: int  # R
    identity: WanIdentity | None


def conditioning_scale(identity_strength: float) -> float:
    """VACE's conditioning_scale for an identity_strength above 0, calibrated on the default."""
    return identity_strength / TRAINED_STRENGTH


def latent_frames(num_frames: int) -> int:
    """Latent frames of 4 n + 1 frames."""
    return (num_frames - 1) // 4 + 1


def hint_scale(
    scale: float, layers: int, references: int, window: VaceWindow, tokens_per_frame: int
) -> Tensor:
    """How much each token takes of VACE's hints.

    Kept frames are always read in full, so that a low strength loosens who it is and not how the
    clip goes on.

    Returns:
        (layers,) as in diffusers where all is alike, else (layers, 1, N, 1).
    """
    if window.num_kept == 0 or scale == 1:
        return torch.full((layers,), scale)
    per_frame = torch.full((references + latent_frames(window.num_frames),), scale)
    per_frame[references : references + latent_frames(window.num_kept)] = 1.0
    per_token = per_frame.repeat_interleave(tokens_per_frame)
    return per_token.view(1, 1, -1, 1).expand(layers, -1, -1, -1)


def control_video(kept: NDArray[np.uint8] | None, shape: tuple[int, int, int]) -> Tensor:
    """Kept frames (K, H, W, 3), then nothing (grey): (1, 3, F, H, W) in -1..1.

    Args:
        kept: the finished frames, or None.
        shape: F, H, W.
    """
    video = torch.zeros(1, 3, *shape)
    if kept is not None:
        values = torch.from_numpy(kept.copy()).permute(3, 0, 1, 2).float()
        video[0, :, : len(kept)] = values / 127.5 - 1
    return video


def aligned_mask(window: VaceWindow, height: int, width: int) -> Tensor:
    """The mask (1, 1, F, H, W), 1 where frames are new, that diffusers' subsampling gets right.

    It picks one of the frames under each latent frame, for most lengths not always one of the same
    kind; here all frames that it may pick say what their latent frame is.
    """
    count, total = latent_frames(window.num_frames), window.num_frames
    is_new = torch.ones(count)
    if window.num_kept:
        is_new[: latent_frames(window.num_kept)] = 0
    owner = torch.arange(total) * count // total
    return is_new[owner].view(1, 1, total, 1, 1).expand(-1, -1, -1, height, width)


class LatentCoder:
    """Pictures to normalised latents and back, as `WanVACEPipeline` does it."""

    def __init__(self, vae: Any, device: torch.device) -> None:  # noqa: ANN401 - AutoencoderKLWan
        self.vae, self.device = vae, device
        shape = (1, vae.config.z_dim, 1, 1, 1)
        self.mean = torch.tensor(vae.config.latents_mean, device=device).view(shape)
        self.inverse_std = 1.0 / torch.tensor(vae.config.latents_std, device=device).view(shape)
        self._nothing: dict[tuple[int, int, int], Tensor] = {}

    @classmethod
    def following(cls, last: LatentCoder | None, vae: Any, device: torch.device) -> LatentCoder:  # noqa: ANN401
        """The last clip's where it fits, which has encoded a grey video already, or a new one."""
        if last is not None and last.vae is vae and last.device == device:
            return last
        return cls(vae, device)

    def encode(self, video: Tensor) -> Tensor:
        """(1, 3, F, H, W) in -1..1 to (1, 16, f, h, w)."""
        take_turn(self.vae)
        video = video.to(self.device, self.vae.dtype)
        latents = self.vae.encode(video).latent_dist.mode()
        return ((latents.float() - self.mean) * self.inverse_std).to(self.vae.dtype)

    def nothing(self, shape: tuple[int, int, int]) -> Tensor:
        """Latents of a grey video of F, H, W; the one of the last shape is kept."""
        if shape not in self._nothing:
            self._nothing = {shape: self.encode(control_video(None, shape))}
        return self._nothing[shape]

    def decode(self, latents: Tensor) -> NDArray[np.uint8]:
        """(1, 16, f, h, w) to frames (F, H, W, 3)."""
        return _pixels(self.video(latents))

    def still(self, latents: Tensor) -> NDArray[np.uint8]:
        """One latent frame (1, 16, 1, h, w) to a small picture."""
        return _pixels(functional.avg_pool3d(self.video(latents), (1, _SHRINK, _SHRINK)))[0]

    def video(self, latents: Tensor) -> Tensor:
        """(1, 16, f, h, w) to (1, 3, F, H, W), about -1..1; gradients pass."""
        latents = latents.to(self.vae.dtype)
        inverse_std, mean = self.inverse_std.to(latents.dtype), self.mean.to(latents.dtype)
        return self.vae.decode(latents / inverse_std + mean, return_dict=False)[0]


def _pixels(video: Tensor) -> NDArray[np.uint8]:
    """(1, 3, T, H, W) about -1..1 to (T, H, W, 3); in place, for a video is large."""
    values = (video[0] * 0.5).add_(0.5).clamp_(0, 1).permute(1, 2, 3, 0).float()
    return values.mul_(255).round_().byte().cpu().numpy()


def with_references(latents: Tensor, references: Sequence[Tensor]) -> Tensor:
    """Reference latents (1, 16, 1, h, w), the first one first, in front of (1, 32, f, h, w)."""
    padded = [torch.cat([one, torch.zeros_like(one)], dim=1) for one in references]
    return torch.cat([*padded, latents], dim=2)
