"""Building blocks that every model of idvid shares: attention, rotary positions, SwiGLU.

Pure shapes and arithmetic; knows nothing of video, faces or text.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

HEAD_WIDTH = 64
_SHORT = 16  # queries


def sinusoidal(values: Tensor, width: int, max_period: float = 10_000.0) -> Tensor:
    """Embed scalars (...) as (..., width) sines and cosines (Vaswani et al. 2017)."""
    steps = torch.arange(width // 2, device=values.device, dtype=torch.float32)
    angles = values.float()[..., None] * torch.exp(-math.log(max_period) * steps / (width // 2))
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def rotary_angles(positions: Tensor, width: int, max_period: float = 100.0) -> Tensor:
    """Angles (..., width / 2) of rotary positions (Su et al. 2021) for real positions (...)."""
    steps = torch.arange(width // 2, device=positions.device, dtype=torch.float32)
    return positions.float()[..., None] * torch.exp(-math.log(max_period) * steps / (width // 2))


def grid_angles(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Rotary angles (height * width, HEAD_WIDTH / 2) of a token grid: half rows, half columns."""
    rows = torch.arange(height, device=device).repeat_interleave(width)
    columns = torch.arange(width, device=device).repeat(height)
    half = HEAD_WIDTH // 2
    return torch.cat([rotary_angles(rows, half), rotary_angles(columns, half)], dim=-1)


def turns(angles: Tensor) -> Tensor:
    """Cosines and sines (2, ..., HEAD_WIDTH) of rotary angles (..., HEAD_WIDTH / 2).

    They are laid out for `rotate`: each cosine twice, each sine once negative and once positive.
    """
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)])


def rotate(vectors_BHND: Tensor, turns: Tensor) -> Tensor:
    """Turn pairs of (B, heads, N, HEAD_WIDTH) by `turns` (2, N, HEAD_WIDTH) or (2, B, 1, N, ...)."""
    cos, sin = turns.to(vectors_BHND.dtype)
    return vectors_BHND * cos + vectors_BHND.roll(HEAD_WIDTH // 2, dims=-1) * sin


def short_attention(query_BHND: Tensor, key_BHMD: Tensor, value_BHMD: Tensor) -> Tensor:
    """`scaled_dot_product_attention` as sums of products, which a compiler fuses.

    The usual kernels work on tiles of 128 queries. Along the 8 frames of a clip, of which there are
    thousands, most of a tile is empty.
    """
    query, key, value = query_BHND.float(), key_BHMD.float(), value_BHMD.float()
    scores = (query[:, :, :, None] * key[:, :, None]).sum(-1) * query.shape[-1] ** -0.5
    read = (scores.softmax(-1)[..., None] * value[:, :, None]).sum(-2)
    return read.to(query_BHND.dtype)


def _suits_short(query_BHND: Tensor) -> bool:
    """Whether this is compiled for a GPU, and short; uncompiled, the products would fill its memory."""
    is_short = query_BHND.shape[-2] <= _SHORT
    return is_short and query_BHND.is_cuda and torch.compiler.is_compiling()


class Attention(nn.Module):
    """Multi-head attention with normalised queries and keys (QK-norm, Henry et al. 2020)."""

    def __init__(self, width: int, context_width: int | None = None) -> None:
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.to_query = nn.Linear(width, width, bias=False)
        self.to_key_value = nn.Linear(context_width or width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width)
        self.query_norm = nn.RMSNorm(HEAD_WIDTH, eps=1e-6)
        self.key_norm = nn.RMSNorm(HEAD_WIDTH, eps=1e-6)

    def keys_values(self, context_BMD: Tensor) -> tuple[Tensor, Tensor]:
        """Project a context (B, M, D) to keys and values (B, heads, M, HEAD_WIDTH)."""
        key, value = (self._heads(half) for half in self.to_key_value(context_BMD).chunk(2, dim=-1))
        return _normalised(key, self.key_norm).transpose(1, 2), value.transpose(1, 2)

    def attend(
        self,
        hidden_BND: Tensor,
        keys_values: tuple[Tensor, Tensor],
        bias: Tensor | None = None,
        turns: Tensor | None = None,
    ) -> Tensor:
        """Read keys and values from queries (B, N, D); `bias` broadcasts to (B, heads, N, M)."""
        query = self._heads(self.to_query(hidden_BND))
        query = _normalised(query, self.query_norm).transpose(1, 2)
        key, value = keys_values
        if turns is not None:
            query, key = rotate(query, turns), rotate(key, turns)
        if bias is not None:
            bias = bias.to(query.dtype)
        if bias is None and _suits_short(query):
            out = short_attention(query, key, value)
        else:
            out = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.to_out(rearrange(out, "b h n d -> b n (h d)"))

    def _heads(self, vectors_BND: Tensor) -> Tensor:
        """Split into heads (B, N, heads, HEAD_WIDTH); as it lies in memory, nothing is copied."""
        return vectors_BND.unflatten(-1, (self.heads, HEAD_WIDTH))

    def forward(
        self,
        hidden_BND: Tensor,
        context_BMD: Tensor | None = None,
        bias: Tensor | None = None,
        turns: Tensor | None = None,
    ) -> Tensor:
        """Self-attention, or cross-attention to a context (B, M, context_width)."""
        context = hidden_BND if context_BMD is None else context_BMD
        return self.attend(hidden_BND, self.keys_values(context), bias, turns)


def _normalised(vectors: Tensor, norm: nn.RMSNorm) -> Tensor:
    """The norm in the vectors' own precision: torch has no fused kernel for mixed ones."""
    weight = norm.weight.to(vectors.dtype)
    return functional.rms_norm(vectors, norm.normalized_shape, weight, norm.eps)


class SwiGLU(nn.Module):
    """Gated feed-forward network (Shazeer 2020) with 8/3 of the width inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = 8 * width // 3 // 64 * 64
        self.to_gate_value = nn.Linear(width, 2 * inner)
        self.to_out = nn.Linear(inner, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        gate, value = self.to_gate_value(hidden).chunk(2, dim=-1)
        return self.to_out(functional.silu(gate) * value)


class TransformerLayer(nn.Module):
    """Pre-norm encoder layer: self-attention, then optional cross-attention, then SwiGLU."""

    def __init__(self, width: int, context_width: int | None = None) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(width)
        self.self_attention = Attention(width)
        self.norm_cross = nn.LayerNorm(width) if context_width else None
        self.cross_attention = Attention(width, context_width) if context_width else None
        self.norm_out = nn.LayerNorm(width)
        self.feed_forward = SwiGLU(width)

    def forward(
        self,
        hidden_BND: Tensor,
        self_bias: Tensor | None = None,
        context_BMD: Tensor | None = None,
        context_bias: Tensor | None = None,
    ) -> Tensor:
        """Map (B, N, D) to the same shape, reading a context (B, M, context_width) if built so."""
        hidden = hidden_BND + self.self_attention(self.norm_self(hidden_BND), bias=self_bias)
        if self.cross_attention is not None and self.norm_cross is not None:
            normed = self.norm_cross(hidden)
            hidden = hidden + self.cross_attention(normed, context_BMD, bias=context_bias)
        return hidden + self.feed_forward(self.norm_out(hidden))


def padding_bias(is_token_BM: Tensor) -> Tensor:
    """Attention bias (B, 1, 1, M): 0 where there is a token, minus infinity on padding."""
    bias = torch.zeros(is_token_BM.shape, device=is_token_BM.device)
    return bias.masked_fill(~is_token_BM, -math.inf)[:, None, None, :]
