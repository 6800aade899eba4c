"""Faces turned upright and cut out, differentiably. Knows landmarks and pixels, no detector.

Every crop is one least-squares similarity from a template's five points to the face's, sampled with
`grid_sample`. Coordinates are pixel centres: (0, 0) is the middle of the first pixel. What lies
outside the picture is black.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from idvid import runtime

CHIP_PADDING = 0.25  # of the box on each side, what the judge was trained on
# dlib's mean face in its unit box: outer and inner corner of the right eye (as seen in the
# picture), outer and inner corner of the left eye, base of the nose.
_DLIB_POINTS = torch.tensor(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ]
)
# ArcFace's template in its 112 px crop: left and right pupil (as seen in the picture), nose tip,
# left and right corner of the mouth. Deng et al. 2019; the order of SCRFD's landmarks.
ARCFACE_POINTS = torch.tensor(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
ARCFACE_SIZE_PX = 112
_ARCFACE_OF_DLIB = [1, 1, 0, 0, 2]  # which of ArcFace's points lies nearest to each of dlib's
_HEAD_WIDTH = 2.6  # side of a head crop, in unit boxes; about 1.9 HOG boxes
_HEAD_CENTRE_Y = 0.47  # where the middle of the box lies in a head crop, 0 top .. 1 bottom
_MAX_SAMPLES = 16  # per crop pixel and axis, for pictures far larger than the crop


def face_chips(
    images: Tensor, landmarks: Tensor, size: int = 150, padding: float = CHIP_PADDING
) -> Tensor:
    """Chips as dlib cuts them for its face network.

    Args:
        images: (N, 3, H, W), any range.
        landmarks: (N, 5, 2) px, dlib's order.
        size: side of the chip in px.
        padding: what is added on each side of the face box, as a share of its side.

    Returns:
        (N, 3, size, size), same range; gradients reach the images.
    """
    template = (_DLIB_POINTS + padding) / (2 * padding + 1) * size
    return crops_by_template(images, landmarks, template, size)


def arcface_chips(images: Tensor, landmarks: Tensor) -> Tensor:
    """Crops (N, 3, 112, 112) with the eyes where ArcFace networks expect them.

    dlib marks eye corners and the nose's base where ArcFace marks pupils, nose tip and mouth, so
    dlib's mean face is moved as a whole: its eye centres come to lie on ArcFace's.
    """
    return crops_by_template(images, landmarks, arcface_template(), ARCFACE_SIZE_PX)


def head_crops(images: Tensor, landmarks: Tensor, size: int = 80) -> Tensor:
    """Looser crops (N, 3, size, size): the whole head with hair, chin and some neck."""
    centred = (_DLIB_POINTS - 0.5) / _HEAD_WIDTH
    template = (centred + torch.tensor([0.5, _HEAD_CENTRE_Y])) * size - 0.5
    return crops_by_template(images, landmarks, template, size)


def arcface_template() -> Tensor:
    """(5, 2) px: dlib's five points of the mean face in ArcFace's 112 px crop."""
    eyes = torch.stack([_DLIB_POINTS[2:4].mean(0), _DLIB_POINTS[0:2].mean(0)])  # left, right
    pupils = ARCFACE_POINTS[:2]
    scale = (pupils[1, 0] - pupils[0, 0]) / (eyes[1, 0] - eyes[0, 0])
    return (_DLIB_POINTS - eyes.mean(0)) * scale + pupils.mean(0)


def dlib_landmarks(points: Tensor) -> Tensor:
    """ArcFace's five points (pupils, nose tip, mouth) as dlib's (eye corners, base of the nose).

    The two mark different spots, so dlib's mean face is laid over the points as insightface aligns
    a face, then its eyes and nose are moved as the found ones deviate from the mean face, which
    keeps how far the head is turned. What of that move is itself a similarity is left out, so that
    `arcface_chips` of the result is the crop that insightface would cut.

    Args:
        points: (N, 5, 2) px in ArcFace's order.

    Returns:
        (N, 5, 2) px in dlib's order.
    """
    mean_face = _laid_over(arcface_template(), points)
    deviation = points - _laid_over(ARCFACE_POINTS, points)
    turned = mean_face + deviation[:, _ARCFACE_OF_DLIB]
    return mean_face + turned - _moved(arcface_template(), similarity(arcface_template(), turned))


def _laid_over(template: Tensor, points: Tensor) -> Tensor:
    """Points (T, 2) of ArcFace's crop in the pictures whose ArcFace points are (N, 5, 2): (N, T, 2).

    insightface fits the picture to the crop. The crop fitted to the picture, as `similarity` does
    it, has the same rotation but is smaller by the squared correlation of the two.
    """
    mapping = similarity(ARCFACE_POINTS, points)
    centre = points.mean(1, keepdim=True)
    spread = (points - centre).square().sum((1, 2), keepdim=True)
    fitted = (_moved(ARCFACE_POINTS, mapping) - centre).square().sum((1, 2), keepdim=True)
    return centre + (_moved(template, mapping) - centre) * spread / fitted


def similarity(template: Tensor, landmarks: Tensor) -> Tensor:
    """Least-squares rotation, uniform scale and shift from template to landmarks.

    Args:
        template: (5, 2) px in the crop.
        landmarks: (N, 5, 2) px in the picture.

    Returns:
        (N, 2, 3): crop (x, y, 1) -> picture (x, y). Its first column's length is the number of
        picture pixels per crop pixel.
    """
    points = runtime.sent(template, landmarks.device, landmarks.dtype)
    source = points - points.mean(0)
    target = landmarks - landmarks.mean(1, keepdim=True)
    spread = source.square().sum()
    cosine = (source * target).sum((1, 2)) / spread
    sine = (source[:, 0] * target[..., 1] - source[:, 1] * target[..., 0]).sum(1) / spread
    rows = [torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)]
    rotation = torch.stack(rows, -2)  # (N, 2, 2)
    shift = landmarks.mean(1) - rotation @ points.mean(0)
    return torch.cat([rotation, shift[..., None]], -1)


def _moved(template: Tensor, mapping: Tensor) -> Tensor:
    """A template's points (5, 2) under similarities (N, 2, 3): (N, 5, 2)."""
    ones = torch.ones(len(template), 1, dtype=mapping.dtype, device=mapping.device)
    return torch.cat([template.to(mapping), ones], -1) @ mapping.transpose(1, 2)


def crops_by_template(images: Tensor, landmarks: Tensor, template: Tensor, size: int) -> Tensor:
    """Square crops in which the landmarks lie on the template's points.

    Where the picture is finer than the crop, each crop pixel is the mean of several samples, as
    many per axis as there are picture pixels under it, so that nothing aliases. A crop does not
    depend on the others in its batch, but for rounding.

    Args:
        images: (N, 3, H, W).
        landmarks: (N, 5, 2) px.
        template: (5, 2) px in the crop.
        size: side of the crop in px.

    Returns:
        (N, 3, size, size).
    """
    points = landmarks.to(device=images.device, dtype=images.dtype)
    mapping = similarity(template, points)
    scales = mapping[:, :, 0].detach().norm(dim=1).tolist()
    samples = [min(max(math.ceil(scale - 0.25), 1), _MAX_SAMPLES) for scale in scales]
    crops: list[Tensor] = [images[:0]] * len(samples)
    for count in sorted(set(samples)):
        members = [i for i, n in enumerate(samples) if n == count]
        group = _sample(images[members], mapping[members], size, count)
        for position, member in enumerate(members):
            crops[member] = group[position]
    return torch.stack(crops) if crops else images.new_zeros(0, 3, size, size)


def _sample(images: Tensor, mapping: Tensor, size: int, samples: int) -> Tensor:
    """Sample every crop pixel `samples` times per axis and average."""
    height, width = images.shape[-2:]
    steps = torch.arange(size * samples, device=images.device, dtype=images.dtype)
    steps = (steps + 0.5) / samples - 0.5  # crop px
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    crop_points = torch.stack([x, y, torch.ones_like(x)], -1).flatten(0, 1)  # (S*S, 3)
    picture_points = crop_points @ mapping.transpose(1, 2)  # (N, S*S, 2)
    extent = runtime.sent((width, height), images.device, images.dtype)
    grid = (picture_points + 0.5) / extent * 2 - 1
    grid = grid.unflatten(1, (size * samples, size * samples))
    sampled = functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)
    return functional.avg_pool2d(sampled, samples) if samples > 1 else sampled
