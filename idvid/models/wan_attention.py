"""How Wan's cross-attention reads identity tokens: a value, a processor and one hook.

The value travels as `attention_kwargs={"identity": WanIdentity(...)}`, which every Wan pipeline of
diffusers hands to its transformer. The hook on the transformer picks the tokens of the branch that
is being computed (`cache_context("cond")`, `"uncond"`) and lays the regions out once; the
processors of the blocks read what it left in the shared `IdentityState`. None of it holds weights,
so that offloading, compiling and caching treat the transformer as they would without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import torch
from diffusers.hooks.hooks import BaseState, ModelHook, StateManager
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import (
    WanAttnProcessor,
    _get_added_kv_projections,
    _get_qkv_projections,
)
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

# Torch's types know no sub-modules, and diffusers has no common class of these.
WanTransformer: TypeAlias = Any  # WanTransformer3DModel, WanVACETransformer3DModel, relatives
WanAttention: TypeAlias = Any  # the cross-attention of one of their blocks

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


def region_bias(regions: Tensor, keys_per_character: int) -> tuple[Tensor | None, Tensor]:
    """Regions (B, C, N), 0..1, as the bias of attention over all characters' keys, and coverage.

    Where regions overlap they share; outside a region its character is never read. A token that
    lies in no region reads everybody alike, and its coverage of 0 takes the result away.

    Returns:
        bias (B, 1, N, C * keys), None for one character, who has no rival; coverage (B, N, 1).
    """
    regions = regions / regions.sum(1, keepdim=True).clamp(min=1)
    coverage = regions.sum(1)[..., None]
    if regions.shape[1] == 1:
        return None, coverage
    somewhere = torch.where(coverage.mT > 0, regions, torch.ones_like(regions))
    bias = somewhere.log().transpose(1, 2).repeat_interleave(keys_per_character, dim=-1)
    return bias[:, None], coverage


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
        query = _split_heads(attn, attn.norm_q(query))
        key, value = _split_heads(attn, attn.norm_k(key)), _split_heads(attn, value)
        out = self._attend(query, key, value)
        if image_tokens is not None:
            key, value = _get_added_kv_projections(attn, image_tokens)
            key, value = _split_heads(attn, attn.norm_added_k(key)), _split_heads(attn, value)
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
        read = self._attend(query, _split_heads(attn, key), _split_heads(attn, value), bias)
        return read * weight.to(query.device, query.dtype)

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        """Attention over (B, N, heads, d); flash and sage kernels know no bias."""
        backend: Any = self._attention_backend if bias is None else "native"
        out = dispatch_attention_fn(query, key, value, attn_mask=bias, backend=backend)
        return out.flatten(2, 3).type_as(query)


def _split_heads(attn: WanAttention, values: Tensor) -> Tensor:
    return values.unflatten(2, (attn.heads, -1))


class _Nothing(BaseState):
    def reset(self, *args: object, **kwargs: object) -> None:
        """A branch keeps nothing from step to step."""


class IdentityHook(ModelHook):
    """Takes `identity` out of `attention_kwargs` and prepares it for the branch at hand.

    diffusers tells stateful hooks the name of the `cache_context`; pipelines that set none
    (video to video, modular) compute "cond".
    """

    _is_stateful = True

    def __init__(self, state: IdentityState, n_registers: int) -> None:
        super().__init__()
        self.state = state
        self.n_registers = n_registers
        self.state_manager = StateManager(cast("Any", _Nothing))

    def reset_state(self, module: nn.Module) -> nn.Module:
        """Nothing is kept."""
        return module

    def pre_forward(
        self,
        module: WanTransformer,
        *args: Any,  # noqa: ANN401 - diffusers' protocol
        **kwargs: Any,  # noqa: ANN401
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Fill the state; the transformer itself never sees the identity."""
        attention = dict(kwargs.get("attention_kwargs") or {})
        identity: WanIdentity | None = attention.pop("identity", None)
        kwargs["attention_kwargs"] = attention or None
        latents: Tensor = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        self._fill(identity, _token_grid(module, latents), latents)
        return args, kwargs

    def _fill(
        self, identity: WanIdentity | None, grid: tuple[int, int, int], latents: Tensor
    ) -> None:
        state, context = self.state, self.state_manager._context
        tokens = identity.tokens.get(context.name if context else "cond") if identity else None
        if identity is None or tokens is None or identity.strength <= 0:
            state.tokens = state.bias = state.weight = None
            return
        bias, weight = None, torch.ones(1, 1, 1, device=latents.device)
        if identity.regions is not None:
            regions = pad_frames(identity.regions.to(latents.device, torch.float32), grid)
            bias, weight = region_bias(regions, tokens.shape[2] + self.n_registers)
        state.tokens = tokens
        state.bias = None if bias is None else bias.to(latents.dtype)
        state.weight = (identity.strength * weight).to(latents.dtype)


def _token_grid(module: WanTransformer, latents: Tensor) -> tuple[int, int, int]:
    """Tokens in time, height and width for latents (B, C, T, H, W)."""
    frames, rows, columns = (
        side // patch
        for side, patch in zip(latents.shape[2:], module.config.patch_size, strict=True)
    )
    return frames, rows, columns


def pad_frames(regions: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Regions (B, C, f, h, w) as (B, C, N) on a grid that may begin with reference frames (VACE).

    Raises:
        ValueError: they are of another size, or of more frames.
    """
    extra = grid[0] - regions.shape[2]
    if extra < 0 or tuple(regions.shape[3:]) != grid[1:]:
        message = (
            f"Regions of {tuple(regions.shape[2:])} tokens do not fit a video of {grid} tokens."
        )
        raise ValueError(message)
    return functional.pad(regions, (0, 0, 0, 0, extra, 0)).flatten(2)
