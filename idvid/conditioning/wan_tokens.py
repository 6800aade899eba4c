"""Reference photos as identity tokens for Wan: the same encoder and bank, patches of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from einops import rearrange

from idvid.conditioning.references import HEAD_CROP_PX
from idvid.faces.align import arcface_chips, head_crops

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from idvid.faces.quality import ReferenceFace
    from idvid.models.wan_adapter import WanIdentityAdapter

PATCH_PX = 16
NUM_PATCHES = (HEAD_CROP_PX // PATCH_PX) ** 2
PATCH_FEATURES = 3 * PATCH_PX**2


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceCrops:
    """Photos of C characters, at most R each, as the adapter reads them; -1..1 RGB."""

    chips: Tensor  # (C, R, 3, 112, 112) aligned faces
    heads: Tensor  # (C, R, 3, 80, 80) looser crops
    has_reference: Tensor  # (C, R) bool; False is padding


def reference_crops(references: Sequence[Sequence[ReferenceFace]]) -> ReferenceCrops:
    """Cut faces and heads out of every photo; characters with fewer photos are padded."""
    most = max((len(own) for own in references), default=0)
    shape = (len(references), most, 3)
    chips = torch.zeros(*shape, 112, 112)
    heads = torch.zeros(*shape, HEAD_CROP_PX, HEAD_CROP_PX)
    has_reference = torch.zeros(shape[:2], dtype=torch.bool)
    for character, own in enumerate(references):
        for index, reference in enumerate(own):
            image = torch.from_numpy(reference.image.copy()).permute(2, 0, 1).float() / 127.5 - 1
            points = torch.from_numpy(reference.face.landmarks.copy()).float()
            chips[character, index] = arcface_chips(image[None], points[None])[0]
            heads[character, index] = head_crops(image[None], points[None], HEAD_CROP_PX)[0]
            has_reference[character, index] = True
    return ReferenceCrops(chips=chips, heads=heads, has_reference=has_reference)


def wan_identity(adapter: WanIdentityAdapter, crops: ReferenceCrops) -> tuple[Tensor, Tensor]:
    """Identity tokens and face vectors; gradients reach the encoder, the backbone is frozen.

    Returns:
        tokens (1, C, K + 1, D), a separator last, and face vectors (C, R, E), unit norm.
    """
    characters = len(crops.chips)
    with torch.no_grad():
        vectors = adapter.backbone(crops.chips.flatten(0, 1)).unflatten(0, (characters, -1))
    patches = rearrange(
        crops.heads, "c r k (h p) (w q) -> c r (h w) (p q k)", p=PATCH_PX, q=PATCH_PX
    )
    tokens, _ = adapter.identity_encoder(vectors, patches, crops.has_reference)
    slots = torch.arange(characters, device=tokens.device)[None]
    memory, _ = adapter.identity_bank(tokens[None], slots, torch.ones_like(slots, dtype=torch.bool))
    return rearrange(memory, "b (c k) d -> b c k d", c=characters), vectors
