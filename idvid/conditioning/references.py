"""Reference photos as the bundled model reads them: face vectors and patches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from einops import rearrange
from torch.nn import functional

from idvid import runtime
from idvid.faces.align import arcface_chips, head_crops
from idvid.models.face_plan import face_frame, in_picture
from idvid.models.head_crops import crop_grid, faded, from_crop_border, upright_heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from idvid.models.autoencoder import FrameAutoencoder
    from idvid.models.face_backbone import FaceBackbone
    from idvid.models.head_matte import HeadMatte

HEAD_CROP_PX = 80
LATENT_PATCH = 2
_CANVAS_STEP = 64  # px
REFERENCE_FACE_PX = 56  # finer photos are scaled down to this face width before they are warped


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePictures:
    """One character's photos with the face that counts in each."""

    images: tuple[Tensor, ...]  # R photos (3, H, W), -1..1 RGB
    landmarks: Tensor  # (R, 5, 2) px, dlib's order
    mattes: Tensor | None = None  # (R, 1, S, S) 0..1 of the heads; None: all of a photo is laid

    def of(self, indices: Sequence[int]) -> ReferencePictures:
        """Some of the photos."""
        picked = list(indices)
        return ReferencePictures(
            images=tuple(self.images[index] for index in picked),
            landmarks=self.landmarks[picked],
            mattes=None if self.mattes is None else self.mattes[picked],
        )


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
def cut_out(pictures: ReferencePictures, matte: HeadMatte | None) -> ReferencePictures:
    """The same photos with mattes of their people; without a matting network as they are.

    A person whom a border cuts off fades out before it: what is laid has no straight edges.
    """
    if matte is None:
        return pictures
    size = matte.config["size_px"]
    heads: dict[int, Tensor] = {}
    for members in _by_canvas(pictures.images):
        images = torch.stack([_on_canvas(pictures.images[m], "replicate") for m in members])
        crops = upright_heads(images, pictures.landmarks[members], size)
        heads |= zip(members, crops, strict=True)
    return replace(pictures, mattes=matte(_in_order(heads)) * _from_border(pictures, size))


def _from_border(pictures: ReferencePictures, size_px: int) -> Tensor:
    """0 at the borders of each photo and of its head's crop, 1 well inside: (R, 1, S, S) of the crops."""
    landmarks = pictures.landmarks
    grid, (origin, axis) = crop_grid(size_px, landmarks), face_frame(landmarks)
    places = in_picture(grid, origin, axis) + 0.5  # (R, S * S, 2)
    sizes = [(image.shape[2], image.shape[1]) for image in pictures.images]
    extents = runtime.sent(sizes, landmarks.device, landmarks.dtype)[:, None]
    in_photo = torch.minimum(places, extents - places).amin(-1) / axis.norm(dim=-1)[:, None]
    inside = torch.minimum(in_photo, from_crop_border(size_px, landmarks))
    return faded(inside).view(-1, 1, size_px, size_px)


@torch.no_grad()
def reference_features(
    pictures: ReferencePictures, backbone: FaceBackbone, autoencoder: FrameAutoencoder
) -> ReferenceFeatures:
    """Encode photos; each is read alone, so adding one changes no other."""
    chips: dict[int, Tensor] = {}
    crops: dict[int, Tensor] = {}
    for members in _by_canvas(pictures.images):
        images = torch.stack([_on_canvas(pictures.images[member]) for member in members])
        points = pictures.landmarks[members]
        chips |= zip(members, arcface_chips(images, points), strict=True)
        crops |= zip(members, head_crops(images, points, HEAD_CROP_PX), strict=True)
    return ReferenceFeatures(
        vectors=backbone(_in_order(chips)), patches=latent_patches(_in_order(crops), autoencoder)
    )


def _in_order(values: dict[int, Tensor]) -> Tensor:
    return torch.stack([values[index] for index in range(len(values))])


def _by_canvas(images: Sequence[Tensor]) -> list[list[int]]:
    """Which photos fit the same canvas and so can be cut together: one by one is slow on a GPU."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(_canvas(image), []).append(index)
    return list(groups.values())


def _canvas(image: Tensor) -> tuple[int, ...]:
    return tuple(-(-side // _CANVAS_STEP) * _CANVAS_STEP for side in image.shape[1:])


def _on_canvas(image: Tensor, beyond: Literal["constant", "replicate"] = "constant") -> Tensor:
    """The photo (3, H, W), continued to its right and below as crops see it: by zeros or its edge."""
    height, width = _canvas(image)
    return functional.pad(image, (0, width - image.shape[2], 0, height - image.shape[1]), beyond)


def latent_patches(crops: Tensor, autoencoder: FrameAutoencoder) -> Tensor:
    """Head crops (R, 3, S, S) to patches of latents (R, P, F), P = (S / 16)^2."""
    latents = autoencoder.encode(crops)
    return rearrange(latents, "r c (h p) (w q) -> r (h w) (c p q)", p=LATENT_PATCH, q=LATENT_PATCH)
