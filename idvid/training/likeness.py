"""Faces of decoded latents beside their references: the identity loss, and a measure of likeness.

The face backbone is the conditioning one; the judge never takes part in training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from idvid import runtime
from idvid.faces.align import arcface_chips
from idvid.models.identity_loss import identity_preservation_loss

if TYPE_CHECKING:
    from torch import Tensor

    from idvid.training.cache import FrozenModels
    from idvid.training.video_batch import VideoBatch

MIN_LEVEL = 0.5  # below it a predicted face is a mean of many
_NOWHERE = ((30.0, 10.0), (20.0, 10.0), (0.0, 10.0), (10.0, 10.0), (15.0, 25.0))  # px


def identity_loss(
    predicted: Tensor,
    batch: VideoBatch,
    level: Tensor,
    frozen: FrozenModels,
    *,
    rows: int,
    temporal_weight: float = 0.5,
) -> Tensor:
    """The identity-preservation loss on a few decoded frames.

    Args:
        predicted: clean latents (B, T, C, h, w) as the model predicts them.
        batch: what they were predicted from.
        level: (B, T); frames that are clean or noisier than MIN_LEVEL are left out.
        frozen: decoder and face encoder; gradients pass through both.
        rows: at most so many rows, with one frame and its neighbour each.
        temporal_weight: of the term between the two, lambda.

    Returns:
        a scalar; 0 where no row fits.
    """
    pairs = frame_pairs(level, rows)
    given = (batch.has_reference.any(-1) & batch.is_given[:, None]).tolist()  # (B, C)
    faces = [
        (index, row, character, times)
        for index, (row, times) in enumerate(pairs)
        for character, is_given in enumerate(given[row])
        if is_given
    ]
    if not faces:
        return predicted.new_zeros(())
    device = predicted.device
    sent_rows, sent_times = (runtime.sent(part, device) for part in zip(*pairs, strict=True))
    latents = predicted[sent_rows[:, None], sent_times]  # (P, F, C, h, w)
    pictures = (
        frozen.autoencoder.decode(latents.flatten(0, 1)).float().unflatten(0, latents.shape[:2])
    )
    index, row, character, times = (runtime.sent(part, device) for part in zip(*faces, strict=True))
    at = (row[:, None], character[:, None], times)  # (n, F)
    pictures, points, seen = pictures[index], batch.landmarks[at], batch.is_visible[at]
    vectors = reference_vectors(batch, row, character)
    chips = face_chips_at(pictures.flatten(0, 1), points.flatten(0, 1), seen.flatten())
    chips = chips.unflatten(0, seen.shape)
    return identity_preservation_loss(
        chips, vectors, frozen.backbone, temporal_weight, has_face=seen
    )


def face_chips_at(pictures: Tensor, landmarks: Tensor, seen: Tensor) -> Tensor:
    """Aligned faces (n, 3, 112, 112) of pictures (n, 3, H, W) at landmarks in frame heights.

    Where nobody is `seen` (n,), the chip is some part of the picture.
    """
    nowhere = runtime.sent(_NOWHERE, landmarks.device, landmarks.dtype)
    points = landmarks * pictures.shape[-2] - 0.5
    points = torch.where(seen[:, None, None], points, nowhere)
    # Half precision would move the crop by pixels.
    with torch.autocast(pictures.device.type, enabled=False):
        return arcface_chips(pictures.float(), points.float())


def frame_pairs(level: Tensor, rows: int) -> list[tuple[int, list[int]]]:
    """Up to `rows` rows with a frame, and its neighbour, that are noisy but not too noisy."""
    fits = (level > MIN_LEVEL) & (level < 1)
    if level.shape[1] == 1:
        return [(row, [0]) for row in torch.nonzero(fits[:, 0]).flatten().tolist()[:rows]]
    pairs = torch.nonzero(fits[:, :-1] & fits[:, 1:]).tolist()
    first = dict(reversed([(row, time) for row, time in pairs]))
    return [(row, [time, time + 1]) for row, time in sorted(first.items())[:rows]]


def reference_vectors(batch: VideoBatch, rows: Tensor, characters: Tensor) -> Tensor:
    """Face vectors (n, R, E); padding repeats the first, so that it is never nearer than a photo.

    Args:
        batch: of clips.
        rows: (n,) which row each person is in.
        characters: (n,) which of its characters.
    """
    has, vectors = batch.has_reference[rows, characters], batch.vectors[rows, characters]
    first = has.int().argmax(-1)[:, None, None].expand(-1, 1, vectors.shape[-1])
    return torch.where(has[..., None], vectors, vectors.gather(1, first))


@torch.no_grad()
def likeness(latents: Tensor, batch: VideoBatch, frozen: FrozenModels) -> dict[str, float]:
    """How much generated faces look like their references, by the conditioning backbone.

    Args:
        latents: generated (B, T, C, h, w); the middle frame is measured.
        batch: their conditions.
        frozen: decoder and face encoder.

    Returns:
        `own`: mean cosine to the nearest own reference; `nearest`: share of faces nearest to their
        own person among all persons of the batch.
    """
    middle = latents.shape[1] // 2
    pictures = frozen.autoencoder.decode(latents[:, middle]).float()
    seen = batch.is_visible[:, :, middle] & batch.has_reference.any(-1)
    rows, characters = torch.nonzero(seen, as_tuple=True)
    if not len(rows):
        return {}
    points = batch.landmarks[rows, characters, middle]
    chips = face_chips_at(pictures[rows], points, torch.ones_like(rows, dtype=torch.bool))
    vectors = frozen.backbone(chips).float()
    gallery = reference_vectors(batch, rows, characters)
    similarity = torch.einsum("ne,mre->nmr", vectors, gallery).amax(-1)  # (n, n)
    nearest = similarity.argmax(1) == torch.arange(len(rows), device=rows.device)
    return {"own": float(similarity.diagonal().mean()), "nearest": float(nearest.float().mean())}


def head_pictures(batch: VideoBatch, row: int, frozen: FrozenModels) -> list[Tensor]:
    """The references (3, S, S) of one row, decoded from their latent patches."""
    pictures = []
    for character, reference in torch.nonzero(batch.has_reference[row]).tolist():
        patches = batch.patches[row, character, reference]  # (P, 4 * C)
        side = round(len(patches) ** 0.5)
        latents = patches.view(side, side, -1, 2, 2).permute(2, 0, 3, 1, 4)
        latents = latents.reshape(1, latents.shape[0], side * 2, side * 2)
        pictures.append(frozen.autoencoder.decode(latents)[0].float())
    return pictures
