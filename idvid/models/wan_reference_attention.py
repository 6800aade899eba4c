"""How Wan's self-attention also reads a face's own features (Lynx full).

    attn1(h) = to_out(Attn(rope q, rope k, v) + strength * Attn(q, norm_k(to_k_ref r), to_v_ref r))

The features r have no rotary positions: the face has no place in the video. As with identity
tokens, a value travels in `attention_kwargs={"reference": WanReference(...)}`, a hook prepares it,
and processors without weights read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_wan import WanAttnProcessor, _get_qkv_projections

from idvid.models.wan_hook import BranchHook, lay_out, split_heads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from idvid.models.wan_hook import Grid, WanAttention

    Features = tuple[Tensor, ...]  # per block, (1, M, D)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WanReference:
    """Whose features are read, and where. Without it the base model remains, bit for bit."""

    features: Mapping[str, Sequence[Features]]  # branch -> per character; absent: none
    regions: Tensor | None = None  # (B, C, f, h, w) 0..1 on the grid of video tokens; None: all
    strength: float = 1.0  # 0 is exactly the base model


class ReferenceState:
    """What one forward pass reads or records; shared by its processors."""

    def __init__(self) -> None:
        self.features: Features | None = None  # per block, (1, C * M, D); None: the base model
        self.bias: Tensor | None = None  # (B, 1, N, C * M) log of the regions
        self.weight: Tensor | None = None  # (B, N or 1, 1) strength * coverage
        self.recorded: list[Tensor] | None = None  # per block so far; None: nothing is recorded


class WanReferenceProcessor(WanAttnProcessor):
    """Wan's self-attention plus attention to a face's features through `attn.ref_kv`."""

    def __init__(self, state: ReferenceState, replaced: object, index: int) -> None:
        super().__init__()
        self.state = state
        self.replaced = replaced  # what `attn` had before
        self.index = index  # of the block
        self._attention_backend = getattr(replaced, "_attention_backend", None)

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """As the stock processor; hidden_states (B, N, D)."""
        if self.state.recorded is not None:
            self.state.recorded.append(hidden_states)
        if self.state.features is None or rotary_emb is None:
            return super().__call__(
                attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb
            )
        query, key, value = _get_qkv_projections(attn, hidden_states, cast("Any", None))
        query = split_heads(attn, attn.norm_q(query))
        key, value = split_heads(attn, attn.norm_k(key)), split_heads(attn, value)
        out = dispatch_attention_fn(
            _rotated(query, rotary_emb),
            _rotated(key, rotary_emb),
            value,
            backend=self._attention_backend,
            parallel_config=self._parallel_config,
        )
        out = out.flatten(2, 3).type_as(query)
        out = out + self._attend_reference(attn, query, self.state.features[self.index])
        return attn.to_out[1](attn.to_out[0](out))

    def _attend_reference(self, attn: WanAttention, query: Tensor, features: Tensor) -> Tensor:
        """One attention over all characters' features (1, C * M, D), weighed by coverage."""
        key, value = attn.ref_kv(features.to(query.device, query.dtype))
        key = split_heads(attn, attn.norm_k(key)).expand(len(query), -1, -1, -1)
        value = split_heads(attn, value).expand(len(query), -1, -1, -1)
        bias, weight = self.state.bias, self.state.weight
        assert weight is not None, "set together with the features"
        bias = None if bias is None else bias.to(query.device, query.dtype)
        backend: Any = self._attention_backend if bias is None else "native"
        read = dispatch_attention_fn(query, key, value, attn_mask=bias, backend=backend)
        return read.flatten(2, 3).type_as(query) * weight.to(query.device, query.dtype)


def _rotated(values: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions (1, N, 1, d) on queries or keys (B, N, heads, d)."""
    cosine_sine: Any = tuple(part.flatten(0, 2) for part in rotary)
    rotated: Any = apply_rotary_emb(values, cosine_sine, sequence_dim=1)
    return rotated


class ReferenceHook(BranchHook):
    """Lays out `reference`, a `WanReference`, for the reference layers."""

    key = "reference"

    def __init__(self, state: ReferenceState) -> None:
        super().__init__()
        self.state = state

    def fill(self, value: WanReference | None, grid: Grid, latents: Tensor) -> None:
        """Lay the features of this branch out; without any the base model remains."""
        state = self.state
        own = value.features.get(self.branch) if value else None
        if value is None or not own or value.strength <= 0:
            state.features = state.bias = state.weight = None
            return
        state.features = tuple(torch.cat(per_block, dim=1) for per_block in zip(*own, strict=True))
        state.bias, coverage = lay_out(value.regions, own[0][0].shape[1], grid, latents)
        state.weight = (value.strength * coverage).to(latents.dtype)
