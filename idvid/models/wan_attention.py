"""How Wan's cross-attention reads identity tokens: a value, a processor and one hook.

The value travels as `attention_kwargs={"identity": WanIdentity(...)}`. The hook on the transformer
picks the tokens of the branch that is being computed (`cache_context("cond")`, `"uncond"`) and lays
the regions out once; the processors of the blocks read what it left in the shared `IdentityState`.
None of it holds weights, so that offloading, compiling and caching treat the transformer as they
would without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import (
    WanAttnProcessor,
    _get_added_kv_projections,
    _get_qkv_projections,
)

from idvid.models.wan_hook import BranchHook, lay_out, split_heads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from idvid.models.wan_hook import Grid, WanAttention

TEXT_TOKENS_OF_I2V = 512  # what diffusers takes for granted where image tokens come first


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WanIdentity:
    """Who the characters are, and where. Without it the base model remains, bit for bit."""

    tokens: Mapping[str, Tensor]  # branch ("cond", "uncond") -> (B, C, K, D); absent: no identity
    regions: Tensor | None = None  # (B, C, f, h, w) 0..1 on the grid of video tokens; None: all
    strength: float = 1.0  # identity_strength, 0..1.5; 0 is exactly the base model


class IdentityState:
    """What one forward pass of the transformer reads; shared by its processors.

    With gradient checkpointing it is read again in the backward pass: go backward after each
    forward.
    """

    def __init__(self) -> None:
        self.tokens: Tensor | None = None  # (B, C, K, D); None: the base model
        self.bias: Tensor | None = None  # (B, 1, N, C * (K + registers)) log of the regions
        self.weight: Tensor | None = (
            None  # (B, N or 1, 1) strength * how far a token is in a region
        )


class WanIdentityProcessor(WanAttnProcessor):
    """Wan's cross-attention plus attention to the identity tokens through `attn.id_kv`."""

    def __init__(self, state: IdentityState, replaced: object) -> None:
        super().__init__()
        self.state = state
        self.replaced = replaced  # what `attn` had before
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
        if self.state.tokens is None or encoder_hidden_states is None:
            return super().__call__(
                attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb
            )
        image_tokens = None
        if attn.add_k_proj is not None:
            count = encoder_hidden_states.shape[1] - TEXT_TOKENS_OF_I2V
            image_tokens = encoder_hidden_states[:, :count]
            encoder_hidden_states = encoder_hidden_states[:, count:]
        query, key, value = _get_qkv_projections(attn, hidden_states, encoder_hidden_states)
        query = split_heads(attn, attn.norm_q(query))
        key, value = split_heads(attn, attn.norm_k(key)), split_heads(attn, value)
        out = self._attend(query, key, value)
        if image_tokens is not None:
            key, value = _get_added_kv_projections(attn, image_tokens)
            key, value = split_heads(attn, attn.norm_added_k(key)), split_heads(attn, value)
            out = out + self._attend(query, key, value)
        out = out + self._attend_identity(attn, query, self.state.tokens)
        return attn.to_out[1](attn.to_out[0](out))

    def _attend_identity(self, attn: WanAttention, query: Tensor, tokens: Tensor) -> Tensor:
        """One attention over all characters' tokens (B, C, K, D), weighed by coverage."""
        batch = len(query)
        tokens = tokens.to(query.device).expand(batch, -1, -1, -1)
        key, value = attn.id_kv(tokens.flatten(0, 1))
        key = key if attn.id_kv.norm_k_ip is not None else attn.norm_k(key)
        key = key.unflatten(0, (batch, -1)).flatten(1, 2).type_as(query)
        value = value.unflatten(0, (batch, -1)).flatten(1, 2).type_as(query)
        bias, weight = self.state.bias, self.state.weight
        assert weight is not None, "set together with the tokens"
        bias = None if bias is None else bias.to(query.device, query.dtype)
        read = self._attend(query, split_heads(attn, key), split_heads(attn, value), bias)
        return read * weight.to(query.device, query.dtype)

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        """Attention over (B, N, heads, d); flash and sage kernels know no bias."""
        backend: Any = self._attention_backend if bias is None else "native"
        out = dispatch_attention_fn(query, key, value, attn_mask=bias, backend=backend)
        return out.flatten(2, 3).type_as(query)


class IdentityHook(BranchHook):
    """Lays out `identity`, a `WanIdentity`, for the identity layers."""

    key = "identity"

    def __init__(self, state: IdentityState, n_registers: int) -> None:
        super().__init__()
        self.state = state
        self.n_registers = n_registers

    def fill(self, value: WanIdentity | None, grid: Grid, latents: Tensor) -> None:
        """Lay the tokens of this branch out; without any the base model remains."""
        state = self.state
        tokens = value.tokens.get(self.branch) if value else None
        if value is None or tokens is None or value.strength <= 0:
            state.tokens = state.bias = state.weight = None
            return
        keys = tokens.shape[2] + self.n_registers
        state.tokens = tokens
        state.bias, coverage = lay_out(value.regions, keys, grid, latents)
        state.weight = (value.strength * coverage).to(latents.dtype)
