"""How far pictures are from true ones in the features of a face network, not pixel by pixel.

The features are the conditioning face backbone's (learned perceptual distance, Zhang et al. 2018);
the judge never takes part in training.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from idvid.models.face_backbone import FaceBackbone

_COMPARED = (2, 3, 4, 5)  # layers of the backbone's body whose features count


def feature_distance(backbone: FaceBackbone, drawn: Tensor, true: Tensor) -> Tensor:
    """Squared distance of unit features, the mean over places, summed over layers.

    Args:
        backbone: of which the first layers are read; they take pictures of any size.
        drawn: (B, 3, H, W) in about -1..1; gradients reach it.
        true: the same shape.

    Returns:
        (B,), 0 or more.
    """
    with torch.no_grad():
        wanted = list(_features(backbone, true))
    pairs = zip(_features(backbone, drawn), wanted, strict=True)
    return torch.stack([(a - b).square().sum(1).mean((1, 2)) for a, b in pairs]).sum(0)


def _features(backbone: FaceBackbone, pictures: Tensor) -> Iterator[Tensor]:
    """Features (B, C, h, w) of unit length at each place."""
    hidden = pictures
    for index, layer in enumerate(islice(backbone.body, max(_COMPARED) + 1)):
        hidden = layer(hidden)
        if index in _COMPARED:
            yield functional.normalize(hidden.float(), dim=1, eps=1e-4)
