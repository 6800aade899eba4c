"""Denoising a window: Euler steps of a rectified flow in which finished frames stay clean.

Notation: z_t = t * clean + (1 - t) * noise, so t runs from 0 (noise) to 1 (clean), and the model
predicts the clean value x; the velocity is (x - z_t) / (1 - t) (Liu et al. 2022).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

TIME_SHIFT = 2.0  # > 1 spends more of the steps near the noise (Esser et al. 2024, equation 23)
SHARED_NOISE = 0.6  # share of the noise's variance that the frames of a clip have in common
_MIN_REMAINING = 0.02  # keeps the velocity finite in the last step


def time_steps(num_steps: int, shift: float = TIME_SHIFT) -> Tensor:
    """The t of each step's start, and 1 at the end: (num_steps + 1,), rising from 0 to 1."""
    return _bend(torch.linspace(0, 1, num_steps + 1), shift)


def ahead(level: Tensor, share: float, shift: float = TIME_SHIFT) -> Tensor:
    """The t that lies a share of all steps after `level`; at most 1."""
    even = _bend(level, 1 / shift)
    return _bend((even + share).clamp(max=1), shift)


def _bend(even: Tensor, shift: float) -> Tensor:
    """Evenly spaced 0..1 to t; the inverse is the bend by 1 / shift."""
    return even / (even + shift * (1 - even))


def euler(noisy: Tensor, clean: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """One step from t = start to t = end along the velocity towards the predicted clean value."""
    velocity = (clean - noisy) / (1 - start).clamp(min=_MIN_REMAINING)
    return clean if float(end) >= 1 else noisy + (end - start) * velocity


def clip_noise(common: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Standard normal noise (1, count, C, h, w) that all frames of a clip mostly share.

    It keeps what does not move (place, light, clothes) the same from frame to frame and from window
    to window where a small model's attention over time would not (Ge et al. 2023, "Preserve your
    own correlation").

    Args:
        common: the clip's own noise (C, h, w).
        count: frames.
        generator: of the rest.
    """
    own = torch.randn(1, count, *common.shape, generator=generator)
    return SHARED_NOISE**0.5 * common + (1 - SHARED_NOISE) ** 0.5 * own


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (Ho and Salimans 2022): scale 1 is the conditional prediction."""
    return unconditional + scale * (conditional - unconditional)


def hold(clean: Tensor, known: Tensor, weight: Tensor, level: Tensor, until: float) -> Tensor:
    """Pull an early prediction towards known values; from t = `until` on it is left alone.

    Args:
        clean: predicted clean latents (B, T, C, h, w).
        known: what they should be near times the weight (premultiplied: Porter and Duff 1984), same
            shape; so where little is known, nothing needs to be made up.
        weight: how much it counts (B, T, 1, h, w), 0..1.
        level: t of each frame (B, T); finished frames (t = 1) are never pulled.
        until: 0 switches it off.
    """
    if until <= 0:
        return clean
    early = (1 - level / until).clamp(0, 1)[:, :, None, None, None]
    return clean + early * (known - weight * clean)


def denoise(
    noise: Tensor,
    finished: Tensor,
    predict: Callable[[Tensor, Tensor], Tensor],
    num_steps: int,
    frame_dim: int = 1,
) -> Iterator[Tensor]:
    """Turn noise into clean frames that continue `finished` ones; yields after every step.

    Args:
        noise: standard normal, shape (B, ..., T, ...), T new frames at `frame_dim`.
        finished: clean frames of the same shape but F along `frame_dim`; F may be 0.
        predict: (values of F + T frames, t per frame (B, F + T)) -> clean values of all of them.
        num_steps: Euler steps.
        frame_dim: which dimension counts frames.

    Yields:
        the T new frames after each step; the last is the result.
    """
    return follow(noise, finished, predict, time_steps(num_steps), frame_dim)


def follow(
    current: Tensor,
    finished: Tensor,
    predict: Callable[[Tensor, Tensor], Tensor],
    steps: Tensor,
    frame_dim: int = 1,
) -> Iterator[Tensor]:
    """Part of the way from noise to clean frames; as `denoise`, from `steps[0]` to `steps[-1]`.

    Args:
        current: the new frames at t = `steps[0]`.
        finished: see `denoise`.
        predict: see `denoise`.
        steps: the t of each step's start, and of the end.
        frame_dim: see `denoise`.
    """
    count_finished, count_new = finished.shape[frame_dim], current.shape[frame_dim]
    level = torch.ones(len(current), count_finished + count_new, device=current.device)
    for start, end in pairwise(steps.to(current.device)):
        level[:, count_finished:] = start
        clean = predict(torch.cat([finished, current], dim=frame_dim), level)
        clean = clean.narrow(frame_dim, count_finished, count_new)
        current = euler(current, clean, start, end)
        yield current
