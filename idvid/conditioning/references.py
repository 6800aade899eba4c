"""Reference photos as the bundled model reads them: face vectors, patches and warped anchors.

Anchors are the references laid where the face plan says each face will be: every pixel looks up the
best-posed reference of the nearest character through the similarity between the two sets of
landmarks. They give the video model the face's detail in place; it adds light, pose and motion.
(The idea is first-order warping, Siarohin et al. 2019, with a similarity for the motion field.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch.nn import functional

from idvid.faces.align import arcface_chips, head_crops
from idvid.models.face_plan import face_frame, pose_residual, region_distance, to_face

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from idvid.models.autoencoder import FrameAutoencoder
    from idvid.models.face_backbone import FaceBackbone

HEAD_CROP_PX = 80
LATENT_PATCH = 2
REFERENCE_FACE_PX = 56  # finer photos are scaled down to this face width before they are warped


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePictures:
    """One character's photos with the face that counts in each."""

    images: tuple[Tensor, ...]  # R photos (3, H, W), -1..1 RGB
    landmarks: Tensor  # (R, 5, 2) px, dlib's order


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceFeatures:
    """One character's photos as numbers for the identity encoder."""

    vectors: Tensor  # (R, E) of the conditioning backbone, unit norm
    patches: Tensor  # (R, P, F) latent patches of the aligned head crops


def reference_pictures(
    photos: Sequence[NDArray[np.uint8]], landmarks: Sequence[NDArray[np.float32]]
) -> ReferencePictures:
    """Photos (H, W, 3) with their landmarks (5, 2) px, brought to about the video's scale."""
    images, points = [], []
    for photo, marks in zip(photos, landmarks, strict=True):
        image = torch.from_numpy(photo.copy()).permute(2, 0, 1).float() / 127.5 - 1
        point = torch.from_numpy(marks.copy()).float()
        scale = min(1.0, REFERENCE_FACE_PX / float(face_frame(point)[1].norm()))
        if scale < 1:
            size = [max(8, round(side * scale)) for side in image.shape[1:]]
            image = functional.interpolate(image[None], size, mode="bilinear", antialias=True)[0]
            point = (point + 0.5) * scale - 0.5
        images.append(image)
        points.append(point)
    return ReferencePictures(images=tuple(images), landmarks=torch.stack(points))


@torch.no_grad()
def reference_features(
    pictures: ReferencePictures, backbone: FaceBackbone, autoencoder: FrameAutoencoder
) -> ReferenceFeatures:
    """Encode one character's photos; each is read alone, so adding one changes no other."""
    chips, crops = [], []
    for image, points in zip(pictures.images, pictures.landmarks, strict=True):
        chips.append(arcface_chips(image[None], points[None]))
        crops.append(head_crops(image[None], points[None], HEAD_CROP_PX))
    vectors = backbone(torch.cat(chips))
    return ReferenceFeatures(vectors=vectors, patches=latent_patches(torch.cat(crops), autoencoder))


def latent_patches(crops: Tensor, autoencoder: FrameAutoencoder) -> Tensor:
    """Head crops (R, 3, S, S) to patches of latents (R, P, F), P = (S / 16)^2."""
    latents = autoencoder.encode(crops)
    return rearrange(latents, "r c (h p) (w q) -> r (h w) (c p q)", p=LATENT_PATCH, q=LATENT_PATCH)


@torch.no_grad()
def anchor_frames(
    characters: Sequence[ReferencePictures | None],
    landmarks: Tensor,
    is_visible: Tensor,
    size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Lay every character's best-posed reference onto the face plan.

    Args:
        characters: C characters; None for one without references.
        landmarks: (C, T, 5, 2) plan in px.
        is_visible: (C, T) bool.
        size: height and width of the frames in px.

    Returns:
        frames (T, 3, H, W) in -1..1, grey where nothing is known, and coverage (T, 1, H, W) 0..1.
    """
    height, width = size
    pixels = _pixels(height, width, landmarks.device)
    total = torch.zeros(landmarks.shape[1], 3, height, width, device=landmarks.device)
    weight = torch.zeros_like(total[:, :1])
    for index, pictures in enumerate(characters):
        if pictures is None:
            continue
        times = torch.nonzero(is_visible[index]).flatten()
        best = _nearest_in_pose(pictures.landmarks, landmarks[index, times])
        for reference in sorted(set(best.tolist())):
            frames = times[best == reference]
            photo = (pictures.images[reference], pictures.landmarks[reference])
            laid, mask = _lay(photo, landmarks[index, frames], pixels, size)
            total[frames] += laid * mask
            weight[frames] += mask
    coverage = weight.clamp(max=1)
    return total / weight.clamp(min=1e-4) * coverage, coverage


@torch.no_grad()
def encode_anchors(frames: Tensor, coverage: Tensor, autoencoder: FrameAutoencoder) -> Tensor:
    """Anchors (T, latents + 1, h, w): latents of the laid references, and their coverage."""
    latents = torch.cat([autoencoder.encode(part) for part in frames.split(8)])
    return torch.cat([latents, functional.avg_pool2d(coverage, 8)], dim=1)


def _nearest_in_pose(references: Tensor, plan: Tensor) -> Tensor:
    """Which of the references (R, 5, 2) is posed most like each face of a plan (n, 5, 2): (n,)."""
    difference = pose_residual(references)[:, None] - pose_residual(plan)
    return difference.square().sum((-2, -1)).argmin(0)


def _lay(
    photo: tuple[Tensor, Tensor], points: Tensor, pixels: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """A photo (3, h, w) with its landmarks, warped to `points` (n, 5, 2): (n, 3, H, W).

    All frames at once: on a GPU each would be some hundred tiny kernels. The second value is the
    mask of each (n, 1, H, W).
    """
    image, (origin, axis) = photo[0], face_frame(photo[1])
    face_uv = to_face(pixels, *face_frame(points))  # (n, H * W, 2)
    across = torch.stack([-axis[1], axis[0]])
    source = origin + face_uv[..., :1] * axis + face_uv[..., 1:] * across
    extent = torch.tensor([image.shape[2], image.shape[1]], device=image.device)
    grid = (source + 0.5) / extent * 2 - 1
    warped = functional.grid_sample(
        image.expand(len(points), -1, -1, -1),
        grid.view(-1, *size, 2),
        align_corners=False,
        padding_mode="border",
    )
    inside = (grid.abs() < 1).all(-1)
    mask = (-0.5 * region_distance(face_uv)).exp() * inside
    return warped, mask.view(-1, 1, *size)


def _pixels(height: int, width: int, device: torch.device) -> Tensor:
    rows = torch.arange(height, device=device, dtype=torch.float32)
    columns = torch.arange(width, device=device, dtype=torch.float32)
    return torch.stack([columns.repeat(height), rows.repeat_interleave(width)], dim=-1)
