"""Reference photos of one character to identity tokens (the article's identity encoder).

A learned identity bank of K queries cross-attends to every reference's face vector and patch
tokens (Perceiver resampler, Jaegle et al. 2021; IP-Adapter Plus uses the same). References stay
separate tokens; `pooling="mean"`, the article's choice, averages them first. Knows one character
at a time: slots and separators are `identity_bank`'s work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from torch import nn

from idvid.models.layers import Attention, SwiGLU, padding_bias

if TYPE_CHECKING:
    from torch import Tensor


class IdentityEncoder(ModelMixin, ConfigMixin):
    """Face vectors (B, R, E) and head-crop patches (B, R, P, F) to identity tokens (B, K, D).

    `patch_tokens` are the references' dense tokens (B, R * P, D), which identity attention may
    read beside the K tokens (Lynx's Ref-adapter, Stand-In and Phantom read dense features too).

    Args:
        face_vector: E, width of the face backbone's output.
        patch_features: F, numbers per patch of the aligned head crop.
        num_patches: P, patches per head crop.
        width: D.
        num_tokens: K, size of the identity bank (article: 32).
        depth: cross-attention layers.
        pooling: "none" keeps references apart, "mean" averages them (article).
    """

    @register_to_config
    def __init__(  # noqa: PLR0913, PLR0917 - diffusers reads these names
        self,
        face_vector: int = 512,
        patch_features: int = 48,
        num_patches: int = 25,
        width: int = 256,
        num_tokens: int = 8,
        depth: int = 2,
        pooling: Literal["none", "mean"] = "none",  # noqa: ARG002 - read from the config
    ) -> None:
        super().__init__()
        self.projection = nn.Linear(face_vector, width)
        self.patch_projection = nn.Linear(patch_features, width)
        self.patch_position = nn.Parameter(torch.randn(num_patches, width) * 0.02)
        self.identity_bank = nn.Parameter(torch.randn(num_tokens, width) * 0.02)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.cross_attentions = nn.ModuleList(Attention(width) for _ in range(depth))
        self.feed_forward_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.feed_forwards = nn.ModuleList(SwiGLU(width) for _ in range(depth))
        self.norm_out = nn.LayerNorm(width)

    def forward(
        self,
        vectors_BRE: Tensor,
        patches_BRPF: Tensor,
        has_reference_BR: Tensor,
        is_pooled: bool | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode references; rows of `has_reference_BR` (bool) that are False are padding.

        `is_pooled` overrides the config's `pooling`, whose weights are the same either way.

        Returns:
            identity tokens (B, K, D) and patch tokens (B, R, P, D). A character without any
            reference gets tokens of the bank alone.
        """
        faces = self.projection(vectors_BRE) * vectors_BRE.shape[-1] ** 0.25
        patches = self.patch_projection(patches_BRPF) + self.patch_position
        if self.config["pooling"] == "mean" if is_pooled is None else is_pooled:
            faces, patches, has_reference_BR = _mean_pool(faces, patches, has_reference_BR)
        context = torch.cat([faces[:, :, None], patches], dim=2)
        is_token = has_reference_BR.repeat_interleave(context.shape[2], dim=1)
        is_token = torch.cat([torch.ones_like(is_token[:, :1]), is_token], dim=1)
        context = rearrange(context, "b r p d -> b (r p) d")
        context = torch.cat([torch.zeros_like(context[:, :1]), context], dim=1)
        tokens = self._read(context, padding_bias(is_token))
        return tokens, patches

    def _read(self, context_BMD: Tensor, bias: Tensor) -> Tensor:
        tokens = self.identity_bank.expand(len(context_BMD), -1, -1)
        layers = zip(
            self.norms,
            self.cross_attentions,
            self.feed_forward_norms,
            self.feed_forwards,
            strict=True,
        )
        for norm, attention, feed_norm, feed in layers:
            tokens = tokens + attention(norm(tokens), context_BMD, bias=bias)
            tokens = tokens + feed(feed_norm(tokens))
        return self.norm_out(tokens)


def _mean_pool(
    faces_BRD: Tensor, patches_BRPD: Tensor, has_reference_BR: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    weight = has_reference_BR.to(faces_BRD.dtype)
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1)
    faces = (faces_BRD * weight[..., None]).sum(1, keepdim=True)
    patches = (patches_BRPD * weight[..., None, None]).sum(1, keepdim=True)
    return faces, patches, has_reference_BR.any(1, keepdim=True)
