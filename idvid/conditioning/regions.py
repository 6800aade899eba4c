"""Who is where: soft regions per character on the grid of video tokens.

Before anything is drawn people stand in bands from left to right; once there are frames, faces are
found and recognised on them with the conditioning backbone (never the judge).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from scipy.optimize import linear_sum_assignment

from idvid.faces.align import arcface_chips
from idvid.faces.detect import detect_faces
from idvid.models.face_plan import face_frame, region_distance, to_face, token_centres

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from idvid.models.face_backbone import FaceBackbone

OUTSIDE = 0.05  # of a region's weight remains outside of it: people move
MIN_COSINE = 0.2  # a face less like a character than this is somebody else's
_BORDER = 0.04  # width of the soft border between bands, as a share of the frame


def bands(characters: int, grid: tuple[int, int, int]) -> Tensor:
    """Regions (1, C, f, h, w), 0..1: equal bands from left to right in the scene's order."""
    frames, rows, columns = grid
    x = (torch.arange(columns) + 0.5) / columns
    centres = (torch.arange(characters) + 0.5) / characters
    inside = (0.5 / characters - (x[None] - centres[:, None]).abs()) / _BORDER
    region = inside.sigmoid().clamp(min=OUTSIDE)
    return region[None, :, None, None].expand(1, -1, frames, rows, -1)


def face_regions(
    landmarks: Sequence[Tensor | None], grid: tuple[int, int, int], height_px: int
) -> Tensor:
    """Regions (1, C, f, h, w) around faces that were found; elsewhere for those that were not.

    Args:
        landmarks: per character (5, 2) px in dlib's order, or None.
        grid: video tokens in time, height and width.
        height_px: of the frame.
    """
    frames, rows, columns = grid
    centres = token_centres(rows, columns)
    found = [None if p is None else _around(p / height_px, centres) for p in landmarks]
    taken = torch.zeros(rows * columns)
    for region in found:
        taken = taken if region is None else torch.maximum(taken, region)
    regions = torch.stack([1 - taken if region is None else region for region in found])
    regions = regions.clamp(min=OUTSIDE).view(1, len(found), 1, rows, columns)
    return regions.expand(-1, -1, frames, -1, -1)


@torch.no_grad()
def find_characters(
    frame: NDArray[np.uint8], backbone: FaceBackbone, galleries: Sequence[Tensor]
) -> list[Tensor | None]:
    """Landmarks (5, 2) px of each character's face in a frame, None where it is not seen.

    Args:
        frame: (H, W, 3) RGB.
        backbone: the conditioning backbone.
        galleries: per character the face vectors (R, E) of the references.
    """
    found: list[Tensor | None] = [None] * len(galleries)
    faces = detect_faces(frame)
    if not faces:
        return found
    landmarks = torch.stack([torch.from_numpy(face.landmarks.copy()).float() for face in faces])
    image = torch.from_numpy(frame.copy()).permute(2, 0, 1).float()[None] / 127.5 - 1
    chips = arcface_chips(image.expand(len(faces), -1, -1, -1), landmarks)
    vectors = backbone(chips.to(backbone.dtype)).float()
    cosines = torch.stack([(vectors @ own.float().T).amax(1) for own in galleries])  # (C, F)
    for character, face in zip(*linear_sum_assignment(-cosines.numpy()), strict=True):
        if cosines[character, face] >= MIN_COSINE:
            found[character] = landmarks[face]
    return found


def _around(landmarks: Tensor, centres: Tensor) -> Tensor:
    """A person's soft region (N,) around landmarks in units of the frame height."""
    return (-0.5 * region_distance(to_face(centres, *face_frame(landmarks)))).exp()
