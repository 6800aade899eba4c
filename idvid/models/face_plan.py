"""Where each face is: five landmarks per character and frame, as features of a token grid.

A face plan is either made by `face_planner` or tracked on frames; what it says of expressions
(`config.EXPRESSION`) needs no features. Everything here is a pure function. Face coordinates (u, v):
origin at the centroid of the landmarks, one unit is the width of dlib's face chip, u to the picture's
right, v down, turned with the head.
Landmarks are in units of the frame height, in dlib's order: outer and inner corner of the eye on
the picture's right, outer and inner corner of the eye on its left, base of the nose.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from idvid import runtime
from idvid.config import EXPRESSION

if TYPE_CHECKING:
    from torch import Tensor

# dlib's mean face, from get_face_chip_details in dlib/image_transforms/interpolation.h.
_TEMPLATE = (
    (0.8595674595992, 0.2134981538014),
    (0.6460604764104, 0.2289674387677),
    (0.1205750620789, 0.2137274526848),
    (0.3340850613712, 0.2290642403242),
    (0.4901123135679, 0.6277975316475),
)
NUM_LANDMARKS = 5
NUM_EXPRESSION = len(EXPRESSION)
# Mean and spread of each over the training scenes.
_EXPRESSION_SHIFT = (0.30, 0.08, 0.10, 0.01, 0.13, 0.06, 0.02, 0.0, 0.0)
_EXPRESSION_SCALE = (0.34, 0.18, 0.13, 0.033, 0.26, 0.175, 0.27, 0.12, 0.062)
FOURIER_BANDS = 4
PLAN_FEATURES = 4 * FOURIER_BANDS + 2 * NUM_LANDMARKS + 1
# A person in face units: standard deviations of the soft region to the side, up and down.
REGION_SIDE, REGION_UP, REGION_DOWN = 0.6, 0.6, 1.0
REGION_CENTRE_V = 0.15
# How landmarks move as heads turn aside and up or down, as three directions of unit length: 99% of how
# they move within `render_face_series`, of 1,500 people. What differs from person to person is elsewhere.
_TURNS = (
    (-0.281, 0.357, -0.058, 0.145, -0.296, -0.341, -0.097, -0.133, 0.733, -0.029),
    (0.364, 0.207, 0.146, 0.150, -0.342, 0.235, -0.141, 0.157, -0.028, -0.750),
    (0.471, 0.065, -0.595, 0.021, 0.415, -0.065, -0.462, -0.021, 0.171, 0.001),
)
# What expressions change: both eyes with their brows, and the mouth. Middle u, v and spread along u, v.
_FEATURES = ((-0.26, -0.14, 0.16, 0.14), (0.26, -0.14, 0.16, 0.14), (0.0, 0.52, 0.2, 0.15))
# The video model shows half of a smile, a frown or a moved brow; jaw, lids and gaze nearly as planned.
_EMPHASIS, _SLIGHT = {"smile": 2.0, "frown": 2.0, "brow_raise": 2.0, "brow_lower": 2.0}, 1.2


def template(like: Tensor) -> Tensor:
    """The mean face (5, 2) in face coordinates."""
    points = runtime.sent(_TEMPLATE, like.device, torch.float32)
    return points - points.mean(0)


def face_frame(landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Least-squares similarity from face coordinates to the picture (Umeyama 1991).

    Args:
        landmarks: (..., 5, 2).

    Returns:
        origin (..., 2) and axis (..., 2): the picture's vector of one unit along u.
    """
    mean = template(landmarks)
    origin = landmarks.mean(-2)
    offset = landmarks - origin[..., None, :]
    energy = mean.square().sum()
    along = (mean * offset).sum((-2, -1)) / energy
    across = (mean[:, 0] * offset[..., 1] - mean[:, 1] * offset[..., 0]).sum(-1) / energy
    return origin, torch.stack([along, across], dim=-1)


def to_face(points: Tensor, origin: Tensor, axis: Tensor) -> Tensor:
    """Face coordinates (..., N, 2) of picture points (N, 2) or (..., N, 2)."""
    offset = points - origin[..., None, :]
    scale = axis.square().sum(-1, keepdim=True).clamp(min=1e-8)
    unit = (axis / scale)[..., None, :]
    along = (offset * unit).sum(-1)
    across = offset[..., 1] * unit[..., 0] - offset[..., 0] * unit[..., 1]
    return torch.stack([along, across], dim=-1)


def in_picture(face_uv: Tensor, origin: Tensor, axis: Tensor) -> Tensor:
    """The inverse of `to_face`: picture points (..., N, 2) of face coordinates (..., N, 2)."""
    across = torch.stack([-axis[..., 1], axis[..., 0]], dim=-1)
    along = face_uv[..., :1] * axis[..., None, :]
    return origin[..., None, :] + along + face_uv[..., 1:] * across[..., None, :]


def pose_residual(landmarks: Tensor) -> Tensor:
    """How the landmarks (..., 5, 2) differ from the mean face: yaw, pitch and shape (..., 5, 2)."""
    origin, axis = face_frame(landmarks)
    return to_face(landmarks, origin, axis) - template(landmarks)


def turned_like(source: Tensor, target: Tensor) -> Tensor:
    """Residuals (..., 5, 2) of the source's face in the target's pose: its shape stays its own."""
    turns = runtime.sent(_TURNS, source.device, source.dtype)
    way = (target - source).flatten(-2) @ turns.T @ turns
    return source + way.unflatten(-1, (NUM_LANDMARKS, 2))


def standardised(expression: Tensor) -> Tensor:
    """Expressions (..., NUM_EXPRESSION) as numbers of unit spread, so that all are learnt alike."""
    shift, scale = _units(expression)
    return (expression - shift) / scale


def from_standardised(values: Tensor) -> Tensor:
    """The inverse of `standardised`."""
    shift, scale = _units(values)
    return values * scale + shift


def _units(like: Tensor) -> Tensor:
    """Mean and spread of expressions (2, NUM_EXPRESSION)."""
    return runtime.sent((_EXPRESSION_SHIFT, _EXPRESSION_SCALE), like.device, like.dtype)


def emphasised(expression: Tensor) -> Tensor:
    """Expressions (..., NUM_EXPRESSION) as the video model must be told them to show what is planned."""
    return expression * expression.new_tensor([_EMPHASIS.get(name, _SLIGHT) for name in EXPRESSION])


def on_features(face_uv: Tensor) -> Tensor:
    """1 on eyes, brows and mouth, falling to 0 away from them: (...) of coordinates (..., 2)."""
    features = runtime.sent(_FEATURES, face_uv.device, face_uv.dtype)
    offset = (face_uv[..., None, :] - features[:, :2]) / features[:, 2:]
    return (-0.5 * offset.square().sum(-1)).exp().amax(-1)


def region_distance(face_uv: Tensor) -> Tensor:
    """Squared distance (...) of face coordinates (..., 2) from a person, in deviations."""
    side = face_uv[..., 0] / REGION_SIDE
    down = face_uv[..., 1] - REGION_CENTRE_V
    height = torch.where(down > 0, down / REGION_DOWN, down / REGION_UP)
    return side.square() + height.square()


def token_centres(rows: int, columns: int, device: torch.device | str = "cpu") -> Tensor:
    """Centres (rows * columns, 2) of a token grid as x, y in units of the frame height."""
    y = (torch.arange(rows, device=device) + 0.5) / rows
    x = (torch.arange(columns, device=device) + 0.5) / rows
    return torch.stack([x.repeat(rows), y.repeat_interleave(columns)], dim=-1)


def plan_features(
    landmarks: Tensor, is_visible: Tensor, centres_N2: Tensor
) -> tuple[Tensor, Tensor]:
    """Features of every character at every token, and the log of their soft regions.

    Args:
        landmarks: (B, C, T, 5, 2).
        is_visible: (B, C, T) bool; False where a character is not in the frame.
        centres_N2: token centres (N, 2).

    Returns:
        features (B, C, T, N, PLAN_FEATURES), zero where not visible, and the log region
        (B, C, T, N): 0 on the face, negative away from it, minus infinity where not visible.
    """
    origin, axis = face_frame(landmarks)
    face_uv = to_face(centres_N2, origin, axis)
    log_region = -0.5 * region_distance(face_uv)
    bands = math.pi * 2.0 ** torch.arange(FOURIER_BANDS, device=landmarks.device)
    angles = (0.5 * face_uv.clamp(-2, 2)[..., None] * bands).flatten(-2)
    residual = pose_residual(landmarks).flatten(-2)
    residual = 4 * residual[..., None, :].expand(*face_uv.shape[:-1], -1)
    ones = torch.ones_like(face_uv[..., :1])
    features = torch.cat([angles.sin(), angles.cos(), residual, ones], dim=-1)
    weight = log_region.exp() * is_visible[..., None]
    log_region = log_region.masked_fill(~is_visible[..., None], -math.inf)
    return features * weight[..., None], log_region
