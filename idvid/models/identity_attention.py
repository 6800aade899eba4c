"""Identity-aware attention: spatial, then temporal, then identity, residual each (the article).

Identity attention is decoupled cross-attention (IP-Adapter, Ye et al. 2023) with a gate that
starts at zero, so that an untrained identity branch changes nothing. Face masks enter as a log
bias: a token in Ana's region attends to Ana's tokens. A learned null token gives every query
somewhere to look when nobody is there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from einops import rearrange, repeat
from torch import nn

from idvid.models.layers import Attention

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityContext:
    """Keys, values and bias of identity attention in one block, computed once per clip."""

    keys_values: tuple[Tensor, Tensor]  # (B, heads, 1 + M, HEAD_WIDTH) each
    bias: Tensor  # (B, 1, T * N, 1 + M) log of the face masks
    weight: Tensor  # (B, 1, 1) identity_strength, 0 where no identity is given


def mask_bias(log_masks: Tensor, owner_BM: Tensor) -> Tensor:
    """Turn face masks into the bias of identity attention.

    Args:
        log_masks: (B, C, T, N) log of each character's mask, 0 inside, minus infinity for never.
        owner_BM: (B, M) owner of each memory token, negative for nobody.

    Returns:
        (B, 1, T * N, 1 + M); column 0 is the null token's and always 0.
    """
    log_masks = rearrange(log_masks, "b c t n -> b c (t n)")
    index = owner_BM.clamp(min=0)[..., None].expand(-1, -1, log_masks.shape[-1])
    bias = log_masks.gather(1, index).masked_fill(owner_BM[..., None] < 0, -math.inf)
    bias = rearrange(bias, "b m q -> b 1 q m")
    return torch.cat([torch.zeros_like(bias[..., :1]), bias], dim=-1)


class IdentityAwareAttention(nn.Module):
    """Spatial, temporal and identity attention over tokens (B, T, N, D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = Attention(width)
        self.temporal_norm = nn.LayerNorm(width)
        self.temporal = Attention(width)
        self.temporal_gate = nn.Parameter(torch.zeros(width))
        self.identity_norm = nn.LayerNorm(width)
        self.identity = Attention(width)
        self.identity_gate = nn.Parameter(torch.zeros(width))
        self.null_identity = nn.Parameter(torch.randn(width) * 0.02)

    def attend_space(self, normed: Tensor, turns: Tensor) -> Tensor:
        """Attention within each frame; `turns` (2, N, HEAD_WIDTH) are the grid's."""
        frames = rearrange(normed, "b t n d -> (b t) n d")
        return self.spatial(frames, turns=turns).view(normed.shape)

    def attend_time(self, hidden: Tensor, turns: Tensor) -> Tensor:
        """Attention along time at each place; `turns` (2, B, T, HEAD_WIDTH); one frame: none."""
        if hidden.shape[1] == 1:
            return hidden
        places = rearrange(self.temporal_norm(hidden), "b t n d -> (b n) t d").contiguous()
        turns = repeat(turns, "two b t a -> two (b n) 1 t a", n=hidden.shape[2])
        moved = self.temporal(places, turns=turns)
        moved = rearrange(moved, "(b n) t d -> b t n d", b=len(hidden))
        return hidden + self.temporal_gate * moved

    def attend_identity(self, hidden: Tensor, context: IdentityContext | None) -> Tensor:
        """Attention to the characters' identity tokens; no context: nothing changes."""
        if context is None:
            return hidden
        batch, frames, tokens, _ = hidden.shape
        flat = rearrange(hidden, "b t n d -> b (t n) d")
        read = self.identity.attend(self.identity_norm(flat), context.keys_values, context.bias)
        read = self.identity_gate * read * context.weight
        return hidden + rearrange(read, "b (t n) d -> b t n d", b=batch, t=frames, n=tokens)

    def identity_context(self, memory: Tensor, bias: Tensor, weight: Tensor) -> IdentityContext:
        """Project the memory (B, M, D) once; `bias` is `mask_bias`'s, `weight` (B, 1, 1)."""
        null = repeat(self.null_identity.to(memory.dtype), "d -> b 1 d", b=len(memory))
        keys_values = self.identity.keys_values(torch.cat([null, memory], dim=1))
        return IdentityContext(keys_values=keys_values, bias=bias, weight=weight)
