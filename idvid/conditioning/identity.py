"""From the characters' reference features to the memory that identity attention reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from einops import rearrange

from idvid.config import ALL_PARTS
from idvid.models.identity_bank import NO_OWNER

if TYPE_CHECKING:
    from torch import Tensor

    from idvid.config import IdentityParts
    from idvid.models.identity_bank import MultiCharacterIdentityBank
    from idvid.models.identity_encoder import IdentityEncoder


def identity_memory(  # noqa: PLR0913, PLR0917 - the tensors of a batch, one by one
    encoder: IdentityEncoder,
    bank: MultiCharacterIdentityBank,
    vectors_BCRE: Tensor,
    patches_BCRPF: Tensor,
    has_reference_BCR: Tensor,
    slots_BC: Tensor,
    parts: IdentityParts = ALL_PARTS,
) -> tuple[Tensor, Tensor]:
    """Identity tokens, then the dense patch tokens, of every character, with separators.

    Characters without a reference own no token that may be read.

    Returns:
        memory (B, M, D) and owner (B, M), M = C * (K + R * P + 1).
    """
    characters = vectors_BCRE.shape[1]
    tokens, patches = encoder(
        rearrange(vectors_BCRE, "b c r e -> (b c) r e"),
        rearrange(patches_BCRPF, "b c r p f -> (b c) r p f"),
        rearrange(has_reference_BCR, "b c r -> (b c) r"),
        None if parts.separate_references else True,
    )
    per_reference = patches.shape[2]
    dense = rearrange(patches, "n r p d -> n (r p) d")
    joined = rearrange(torch.cat([tokens, dense], dim=1), "(b c) k d -> b c k d", c=characters)
    memory, owner = bank(joined, slots_BC, has_reference_BCR.any(-1), parts)
    has_patch = _has_patch(has_reference_BCR, patches.shape[1])
    has_patch = has_patch.repeat_interleave(per_reference, dim=-1)
    always = torch.ones_like(has_patch[..., :1])
    readable = torch.cat([always.expand(-1, -1, tokens.shape[1]), has_patch, always], dim=-1)
    return memory, owner.masked_fill(~rearrange(readable, "b c m -> b (c m)"), NO_OWNER)


def _has_patch(has_reference_BCR: Tensor, references: int) -> Tensor:
    """Which references still have patches of their own: one if they were averaged."""
    if references == has_reference_BCR.shape[-1]:
        return has_reference_BCR
    return has_reference_BCR.any(-1, keepdim=True)
