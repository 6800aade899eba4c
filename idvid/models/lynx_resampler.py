"""Lynx's resampler: one face vector to the identity tokens that Lynx's layers read.

A perceiver (Jaegle et al. 2021) as IP-Adapter Plus has it; names follow Lynx's files (Sang et al.
2025, arXiv 2509.15496). The face vector is ArcFace's IR-SE50, 512 numbers of unit norm; another
network's vectors mean nothing to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


class _Perceive(nn.Module):
    """Queries attend to the face and to each other."""

    def __init__(self, width: int, heads: int, dim_head: int) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * dim_head
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, face: Tensor, queries: Tensor) -> Tensor:
        face, queries = self.norm1(face), self.norm2(queries)
        keys_values = self.to_kv(torch.cat([face, queries], dim=1))
        key, value = rearrange(keys_values, "b n (two h d) -> two b h n d", two=2, h=self.heads)
        query = rearrange(self.to_q(queries), "b n (h d) -> b h n d", h=self.heads)
        read = functional.scaled_dot_product_attention(query, key, value)
        return self.to_out(rearrange(read, "b h n d -> b n (h d)"))


class LynxResampler(ModelMixin, ConfigMixin):
    """Face vectors (B, F, 512) to identity tokens (B, K, D).

    Args:
        dim: width inside.
        depth: how many times the queries look.
        dim_head: width of a head.
        heads: how many.
        num_queries: K.
        embedding_dim: width of a face vector.
        output_dim: D, 5120 in Lynx full and 2048 in lite.
        ff_mult: hidden width of the feed-forward layers, in `dim`.
    """

    @register_to_config
    def __init__(  # noqa: PLR0913, PLR0917 - the settings of Lynx's file
        self,
        dim: int = 1280,
        depth: int = 4,
        dim_head: int = 64,
        heads: int = 20,
        num_queries: int = 16,
        embedding_dim: int = 512,
        output_dim: int = 5120,
        ff_mult: int = 4,
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(1, num_queries, dim) / dim**0.5)
        self.proj_in = nn.Linear(embedding_dim, dim)
        self.proj_out = nn.Linear(dim, output_dim)
        self.norm_out = nn.LayerNorm(output_dim)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    _Perceive(dim, heads, dim_head),
                    nn.Sequential(
                        nn.LayerNorm(dim),
                        nn.Linear(dim, ff_mult * dim, bias=False),
                        nn.GELU(),
                        nn.Linear(ff_mult * dim, dim, bias=False),
                    ),
                ]
            )
            for _ in range(depth)
        )

    def forward(self, faces: Tensor) -> Tensor:
        """Tokens of each face; of zeros, those of nobody."""
        queries = self.latents.expand(len(faces), -1, -1)
        faces = self.proj_in(faces)
        for block in self.layers:
            perceive, think = block.children()
            queries = queries + perceive(faces, queries)
            queries = queries + think(queries)
        return self.norm_out(self.proj_out(queries))
