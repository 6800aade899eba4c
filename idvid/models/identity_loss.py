"""The identity-preservation loss of the article: keep the reference's face, and keep it over time.

    L = mean_t ||f(v_t) - f(ref)||^2 + lambda * mean_t ||f(v_t) - f(v_t+1)||^2

f is a frozen, differentiable face encoder applied to aligned face crops. Cropping is the caller's
work (`idvid.faces.align`), because where a face is, is not this loss's question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def identity_preservation_loss(
    frames: Tensor,
    references: Tensor,
    face_encoder: Callable[[Tensor], Tensor],
    lambda_temporal: float = 0.5,
    has_face: Tensor | None = None,
) -> Tensor:
    """Mean squared embedding distance to the references and between neighbouring frames.

    Args:
        frames: aligned face crops (C, T, 3, S, S) of C characters over T frames, -1..1.
        references: face vectors (C, R, E), unit norm; the distance is to the nearest of each
            character's R vectors, so that several references do not pull to their mean.
        face_encoder: (N, 3, S, S) -> (N, E), unit norm; frozen, gradients pass through it.
        lambda_temporal: weight of the second term.
        has_face: (C, T) bool; frames without the face are left out. None: all have it.

    Returns:
        a scalar; 0 where no frame has a face. Distances lie in 0..4.
    """
    characters, count = frames.shape[:2]
    vectors = face_encoder(frames.flatten(0, 1)).view(characters, count, -1)
    seen = torch.ones(characters, count, device=frames.device) if has_face is None else has_face
    seen = seen.to(vectors.dtype)
    distance = (vectors[:, :, None] - references[:, None].detach()).square().sum(-1)  # (C, T, R)
    to_reference = _mean(distance.amin(-1), seen)
    if count == 1 or lambda_temporal == 0:
        return to_reference
    step = (vectors[:, 1:] - vectors[:, :-1]).square().sum(-1)
    return to_reference + lambda_temporal * _mean(step, seen[:, 1:] * seen[:, :-1])


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)
