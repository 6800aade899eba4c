"""The small text encoder of idvid-mini: word pieces to tokens that the video model reads.

Trained together with the model that reads it. Tokenising is `idvid.conditioning.text`'s work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from idvid.models.layers import TransformerLayer, padding_bias

if TYPE_CHECKING:
    from torch import Tensor

PAD_ID = 0


class PromptEncoder(ModelMixin, ConfigMixin):
    """Token ids (B, L) to text tokens (B, L, width) and their mask (B, L)."""

    @register_to_config
    def __init__(
        self, vocabulary_size: int = 2048, width: int = 256, depth: int = 2, max_length: int = 96
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.position = nn.Parameter(torch.randn(max_length, width) * 0.02)
        self.layers = nn.ModuleList(TransformerLayer(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, ids_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Encode ids; an empty prompt is a row of padding and gives one learned token."""
        is_token = ids_BL != PAD_ID
        is_token[:, 0] = True  # position 0 always speaks, so that no row is empty
        hidden = self.embedding(ids_BL) + self.position[: ids_BL.shape[1]]
        bias = padding_bias(is_token)
        for layer in self.layers:
            hidden = layer(hidden, self_bias=bias)
        return self.norm(hidden), is_token
