"""What the video model says of the clean frames, as a function of noise: guided, held by anchors.

Sampling and the teacher of distillation share it, so that a student learns what is sampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idvid.pipeline.denoise import guide, hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from idvid.models.conditions import Conditions, Identity
    from idvid.models.video_transformer import VideoTransformer


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """What steers the prediction beside the conditions."""

    scale: float = 1.0  # of classifier-free guidance; 1 is none
    hold_until: float = 0.0  # 0..1, see `Method.hold_until`


def predictor(
    transformer: VideoTransformer,
    conditions: Conditions,
    plain: Conditions,
    grid: tuple[int, int],
    steering: Steering,
) -> Callable[[Tensor, Tensor], Tensor]:
    """The `predict` of `denoise`: noisy latents and t per frame to clean latents, in float32.

    Args:
        transformer: the video model.
        conditions: what it reads.
        plain: what it reads in guidance's second pass; not looked at where the scale is 1.
        grid: rows and columns of tokens.
        steering: guidance and hold.
    """
    scale = steering.scale
    full = transformer.prepare(conditions, *grid)
    bare = full if scale == 1 else transformer.prepare(plain, *grid)

    def predict(noisy: Tensor, level: Tensor) -> Tensor:
        clean = transformer(noisy, level, full).float()
        if scale != 1:
            clean = guide(clean, transformer(noisy, level, bare).float(), scale)
        return _held(clean, conditions.identity, level, steering.hold_until)

    return predict


def _held(clean: Tensor, identity: Identity | None, level: Tensor, until: float) -> Tensor:
    if identity is None or until <= 0:
        return clean
    given = identity.is_given.to(clean.dtype)[:, None, None, None, None]
    weight = identity.anchors[:, :, -1:] * given * min(identity.strength, 1.0)
    return hold(clean, identity.anchors[:, :, :-1], weight, level, until)
