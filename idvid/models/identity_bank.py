"""Several characters in one sequence of identity tokens: slots, separators and owners.

The article gives every slot a bank of its own, which leaves rarely used slots untrained; here all
slots share one bank (`identity_encoder`) and a learned slot embedding tells them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange, repeat
from torch import nn

from idvid.config import ALL_PARTS

if TYPE_CHECKING:
    from torch import Tensor

    from idvid.config import IdentityParts

NO_OWNER = -1


class MultiCharacterIdentityBank(ModelMixin, ConfigMixin):
    """Tokens (B, C, K, D) of up to `max_characters` to one memory (B, C * (K + 1), D)."""

    @register_to_config
    def __init__(self, width: int = 256, max_characters: int = 8) -> None:
        super().__init__()
        self.slot_embedding = nn.Parameter(torch.randn(max_characters, width) * 0.02)
        self.character_separator = nn.Parameter(torch.randn(width) * 0.02)

    def forward(
        self,
        tokens_BCKD: Tensor,
        slots_BC: Tensor,
        is_present_BC: Tensor,
        parts: IdentityParts = ALL_PARTS,
    ) -> tuple[Tensor, Tensor]:
        """Join the characters' tokens; each is followed by `character_separator`.

        Args:
            tokens_BCKD: identity tokens (and, if wanted, patch tokens) of each character.
            slots_BC: the slot (0..max_characters - 1) of each character: `<c1>` is slot 0.
            is_present_BC: False marks padding, whose tokens nobody may read.
            parts: without `slots` nothing is added; without `separators` nobody may read them.

        Returns:
            the memory (B, C * (K + 1), D) and the owner of each token (B, C * (K + 1)): the index
            of its character among C, or `NO_OWNER` for padding.

        Raises:
            ValueError: more characters than slots.
        """
        batch, characters, count, _ = tokens_BCKD.shape
        limit = self.config["max_characters"]
        if characters > limit:
            message = f"{characters} characters were given and this bank has {limit} slots."
            raise ValueError(message)
        separator = repeat(self.character_separator, "d -> b c 1 d", b=batch, c=characters)
        joined = torch.cat([tokens_BCKD, separator.to(tokens_BCKD.dtype)], dim=2)
        if parts.slots:
            joined = joined + self.slot_embedding[slots_BC][:, :, None]
        owner_C = torch.arange(characters, device=tokens_BCKD.device)
        owner_BC = torch.where(is_present_BC, owner_C, NO_OWNER)
        owner_BCK = repeat(owner_BC, "b c -> b c k", k=count + 1).clone()
        if not parts.separators:
            owner_BCK[..., -1] = NO_OWNER
        owner = rearrange(owner_BCK, "b c k -> b (c k)")
        return rearrange(joined, "b c k d -> b (c k) d"), owner
