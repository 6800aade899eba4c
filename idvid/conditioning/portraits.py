"""Reference photos as VACE reads them: the head, upright, on white."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from idvid.faces.align import head_crops

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from idvid.faces.quality import ReferenceFace

PORTRAIT_PX = 512
MAX_REFERENCES = 4  # each costs a latent frame in every window
MAX_PER_CHARACTER = 3
_EDGE = 0.08  # width of the soft edge, as a share of the portrait
_ROUNDNESS = 3.0  # 2 is an ellipse, more comes nearer to a square


def choose_portraits(
    references: Sequence[Sequence[ReferenceFace]],
) -> tuple[tuple[ReferenceFace, ...], ...]:
    """Per character the photos with the largest faces, as many as all together may be."""
    each = max(1, min(MAX_PER_CHARACTER, MAX_REFERENCES // max(1, len(references))))
    return tuple(tuple(sorted(own, key=lambda r: -r.face.width_px)[:each]) for own in references)


@torch.no_grad()
def portrait(reference: ReferenceFace, size: int = PORTRAIT_PX) -> NDArray[np.uint8]:
    """One photo's head with hair, chin and some neck, turned upright: (size, size, 3) RGB.

    What surrounds the head fades to white, so that no background is taken for part of a person.
    """
    photo = torch.from_numpy(reference.image.copy()).permute(2, 0, 1).float()[None]
    with_inside = torch.cat([photo, torch.ones_like(photo[:, :1])], dim=1)  # 0 beyond the photo
    landmarks = torch.from_numpy(reference.face.landmarks.copy()).float()[None]
    crop = head_crops(with_inside, landmarks, size)[0]
    colour, inside = crop[:3], crop[3:]
    weight = _vignette(size)
    # The crop has black where the photo ends: colour is inside * true colour already.
    out = colour * weight + 255 * (1 - inside * weight)
    return out.round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def _vignette(size: int) -> torch.Tensor:
    """(1, size, size): 1 on the head, 0 in the corners."""
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    distance = (axis[None].abs() ** _ROUNDNESS + axis[:, None].abs() ** _ROUNDNESS) ** (
        1 / _ROUNDNESS
    )
    return ((1 - distance) / _EDGE).clamp(0, 1)[None]
