"""The objectives of training as pure functions: noise levels, losses, what is dropped or shuffled.

Rectified flow (Liu et al. 2022) with one noise level per frame (diffusion forcing, Chen et al.
2024): z_t = t x + (1 - t) e, t = 1 is clean. The model predicts x, the loss is on the velocity.
Knows tensors only. Randomness is an explicit generator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch.nn import functional

from idvid import runtime
from idvid.models.face_plan import (
    face_frame,
    on_features,
    region_distance,
    to_face,
    token_centres,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Generator, Tensor

LEVEL_MEAN, LEVEL_SPREAD = -0.2, 1.0  # of the logit of t
MIN_NOISE = 0.05  # the velocity's divisor never falls below
MAX_SLOTS = 8


def logit_normal(shape: Sequence[int], generator: Generator) -> Tensor:
    """Noise levels in 0..1, their logits normal (Esser et al. 2024)."""
    device = generator.device
    normal = torch.randn(tuple(shape), generator=generator, device=device)
    return torch.sigmoid(LEVEL_MEAN + LEVEL_SPREAD * normal)


def frame_levels(rows: int, frames: int, mixture: Sequence[float], generator: Generator) -> Tensor:
    """Noise level t (B, T) of every frame: one of three kinds per row.

    Args:
        rows: B.
        frames: T.
        mixture: shares of (a) one level for all frames, (b) a clean prefix of 1..T-1 frames and one
            level for the rest, (c) independent levels.
        generator: its device is the result's.
    """
    device = generator.device
    shared = logit_normal((rows, 1), generator).expand(-1, frames)
    free = logit_normal((rows, frames), generator)
    kind = torch.multinomial(
        runtime.sent(mixture, device, torch.float32),
        rows,
        replacement=True,
        generator=generator,
    )
    draw = torch.rand(rows, 1, generator=generator, device=device)
    prefix = 1 + (draw * (frames - 1)).floor()
    if frames == 1:
        prefix = torch.zeros_like(prefix)
    is_clean = torch.arange(frames, device=device) < prefix
    continued = torch.where(is_clean, torch.ones_like(shared), shared)
    kind = kind[:, None]
    return torch.where(kind == 0, shared, torch.where(kind == 1, continued, free))


def add_noise(clean: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """z_t = t x + (1 - t) e; `level` (B, T) broadcasts over what follows; t = 1 gives x itself."""
    t = level.view(*level.shape, *(1,) * (clean.ndim - level.ndim))
    return torch.where(t == 1, clean, t * clean + (1 - t) * noise)


def clip_noise(clean: Tensor, generator: Generator, shared: float) -> Tensor:
    """Standard normal noise like clips (B, T, ...), of which a clip's frames share some variance.

    Sampling starts from such noise (`pipeline.denoise.clip_noise`); a model that has only seen
    independent noise would average it away along time (Ge et al. 2023).
    """
    device = clean.device
    common = torch.randn(clean[:, :1].shape, generator=generator, device=device)
    own = torch.randn(clean.shape, generator=generator, device=device)
    return shared**0.5 * common + (1 - shared) ** 0.5 * own


def velocity_loss(
    predicted: Tensor, clean: Tensor, level: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Squared error of the velocity over the frames that are not clean.

    v = x - e and z_t = t x + (1 - t) e give v = (x - z_t) / (1 - t), so that the error of the
    velocity is that of x over (1 - t).

    Args:
        predicted: (B, T, ...) predicted clean values.
        clean: (B, T, ...).
        level: (B, T); frames at t = 1 count for nothing.
        weight: broadcasts to (B, T, ...), or None.

    Returns:
        a scalar; 0 if every frame is clean.
    """
    error = (predicted - clean).float().square()
    if weight is None:
        weight = torch.ones_like(error[:1])
    weight = weight.expand_as(error)
    per_frame = (error * weight).flatten(2).mean(-1) / weight.flatten(2).mean(-1).clamp(min=1e-6)
    per_frame = per_frame / (1 - level).clamp(min=MIN_NOISE).square()
    counts = (level < 1).to(per_frame.dtype)
    return (per_frame * counts).sum() / counts.sum().clamp(min=1)


def face_weight(
    landmarks: Tensor,
    is_visible: Tensor,
    size: tuple[int, int],
    extra: float,
    detail: float = 0.0,
) -> Tensor:
    """1 + extra on faces, detail more on eyes and mouths, falling to 1 away: (B, T, 1, h, w).

    Args:
        landmarks: (B, C, T, 5, 2) in units of the frame height.
        is_visible: (B, C, T) bool.
        size: h and w of the latents.
        extra: weight added where a face is.
        detail: weight added where its eyes, brows and mouth are.
    """
    centres = token_centres(*size, device=landmarks.device)
    face_uv = to_face(centres, *face_frame(landmarks))
    # Twice the distance: the region reaches over hair and shoulders, the weight should not.
    region = extra * (-2 * region_distance(face_uv)).exp()
    if detail:
        region = region + detail * on_features(face_uv)
    weight = 1 + (region * is_visible[..., None]).amax(1)
    return rearrange(weight, "b t (h w) -> b t 1 h w", h=size[0])


def draw_slots(is_character: Tensor, shuffle_share: float, generator: Generator) -> Tensor:
    """A slot of its own for every character, in order or, in a share of the rows, at random.

    Args:
        is_character: (B, C) bool, False for padding.
        shuffle_share: share of rows with random slots.
        generator: its device is the result's.

    Returns:
        (B, C) distinct slots, 0..7.
    """
    rows, characters = is_character.shape
    device = generator.device
    shuffled = torch.rand(rows, MAX_SLOTS, generator=generator, device=device).argsort(-1)
    in_order = torch.arange(MAX_SLOTS, device=device).expand(rows, -1)
    is_shuffled = torch.rand(rows, 1, generator=generator, device=device) < shuffle_share
    return torch.where(is_shuffled, shuffled, in_order)[:, :characters]


def rename_slots(ids: Tensor, slots: Tensor, slot_ids: Tensor) -> Tensor:
    """Turn the slot tokens of captions written in order into those of the drawn slots.

    Args:
        ids: (B, L) caption ids, in which character c is called `<c{c+1}>`.
        slots: (B, C) slot of each character.
        slot_ids: (8,) id of each slot's token.

    Returns:
        (B, L) ids; nothing but slot tokens changes.
    """
    renamed = ids.clone()
    for character in range(slots.shape[1]):
        is_name = ids == slot_ids[character]
        new = slot_ids[slots[:, character]][:, None].expand_as(ids)
        renamed = torch.where(is_name, new, renamed)
    return renamed


def draw_flags(rows: int, share: float, generator: Generator) -> Tensor:
    """True (B,) for a share of the rows."""
    return torch.rand(rows, generator=generator, device=generator.device) < share


def margin_softmax(
    vectors: Tensor, prototypes: Tensor, labels: Tensor, margin: float, scale: float
) -> Tensor:
    """CosFace (Wang et al. 2018): cross-entropy of cosines, the right one handicapped.

    Args:
        vectors: (B, E), unit norm.
        prototypes: (classes, E), any norm.
        labels: (B,) class of each row.
        margin: taken from the right cosine.
        scale: of the cosines before the softmax.
    """
    cosines = vectors.float() @ functional.normalize(prototypes.float(), dim=-1).T
    handicap = functional.one_hot(labels, len(prototypes)) * margin
    return functional.cross_entropy(scale * (cosines - handicap), labels)


def psnr(error: Tensor) -> float:
    """Decibels of a mean squared error of pictures in 0..1."""
    return float(-10 * torch.log10(functional.relu(error) + 1e-12))


def picture_loss(predicted: Tensor, frames: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 of pictures and of their gradients, so that edges stay sharp.

    Args:
        predicted: (B, 3, H, W).
        frames: (B, 3, H, W).
        weight: (B, 1, H, W).
    """
    difference = predicted - frames
    across = (difference[..., 1:] - difference[..., :-1]).abs() * weight[..., 1:]
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs() * weight[..., 1:, :]
    return (difference.abs() * weight).mean() + across.mean() + down.mean()
