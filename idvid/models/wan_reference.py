"""Reference layers for Wan: self-attention that also reads a face's own features (Lynx full).

One pass of the model itself over the clean latents of a face, at time 0, records what each block's
self-attention read there. While a video is made, each block attends to these features too, through
keys and values of its own and without rotary positions: the face has no place in the video.

    attn1(h) = to_out(Attn(rope q, rope k, v) + strength * Attn(q, norm_k(to_k_ref r), to_v_ref r))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.hooks.hooks import HookRegistry, ModelHook, StateManager
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.transformers.transformer_wan import WanAttnProcessor, _get_qkv_projections
from torch import nn

from idvid.errors import ModelError
from idvid.models.wan_attach import _home, _too_late
from idvid.models.wan_attention import (
    _Nothing,
    _split_heads,
    _token_grid,
    pad_frames,
    region_bias,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from idvid.models.wan_attention import WanAttention, WanTransformer

HOOK = "idvid_reference"
BRANCH = "reference"  # the cache context of the recording pass
Features = tuple["Tensor", ...]  # per block, (1, M, D)


class ReferenceKV(nn.Module):
    """Features of a face to keys and values; lives at `blocks[i].attn1.ref_kv`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.to_k_ref = nn.Linear(dim, dim)
        self.to_v_ref = nn.Linear(dim, dim)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, M, D) to keys and values of the same shape."""
        return self.to_k_ref(features), self.to_v_ref(features)


class WanReferenceLayers(ModelMixin, ConfigMixin):
    """The reference layers of one Wan transformer, one per block.

    Args:
        dim: D of the transformer, `num_attention_heads * attention_head_dim`.
        num_layers: its blocks.
    """

    @register_to_config
    def __init__(self, dim: int = 5120, num_layers: int = 40) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ReferenceKV(dim) for _ in range(num_layers))


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


def attach_reference(transformer: WanTransformer, layers: WanReferenceLayers) -> None:
    """Put `layers` on the self-attention of the blocks; the modules are shared, not copied.

    Raises:
        ModelError: they do not fit the transformer, are there already, or it is too late.
    """
    if _state(transformer) is not None:
        raise ModelError("This model has reference layers already; detach them first.")
    done = _too_late(transformer)
    if done:
        raise ModelError(
            f"The model is {done} already; attach the reference layers first, then do that."
        )
    width, count = transformer.blocks[0].attn1.inner_dim, len(transformer.blocks)
    if (layers.config["dim"], layers.config["num_layers"]) != (width, count):
        raise ModelError(
            f"The reference adapter is for {layers.config['num_layers']} blocks of width "
            f"{layers.config['dim']} and the model has {count} of {width}; "
            "choose an adapter that was made for this model."
        )
    state = ReferenceState()
    for index, (block, layer) in enumerate(zip(transformer.blocks, layers.layers, strict=True)):
        attn = block.attn1
        attn.ref_kv = layer.to(_home(attn), attn.norm_q.weight.dtype)
        attn.set_processor(WanReferenceProcessor(state, attn.processor, index))
    registry = HookRegistry.check_if_exists_or_initialize(transformer)
    registry.register_hook(ReferenceHook(state), HOOK)
    registry.invalidate_child_registries_cache()


def detach_reference(transformer: WanTransformer) -> None:
    """Leave the transformer as it was before `attach_reference`; nothing if it was not attached."""
    if _state(transformer) is None:
        return
    for block in transformer.blocks:
        processor = block.attn1.processor
        processor.replaced._attention_backend = processor._attention_backend
        block.attn1.set_processor(processor.replaced)
        del block.attn1.ref_kv
    registry = HookRegistry.check_if_exists_or_initialize(transformer)
    registry.remove_hook(HOOK, recurse=False)
    registry.invalidate_child_registries_cache()


@torch.no_grad()
def record_reference(transformer: WanTransformer, latents: Tensor, text: Tensor) -> Features:
    """What each block's self-attention reads for a face.

    Args:
        transformer: with reference layers attached.
        latents: (1, C, 1, h, w) of an aligned face, normalised as the pipeline does; zeros in
            pixels (not in latents) stand for nobody.
        text: (1, L, text_dim), Lynx's prompt is `idvid.models.lynx.REFERENCE_PROMPT`.
    """
    state = _state(transformer)
    assert state is not None, "attach_reference comes first"
    state.recorded = recorded = []
    try:
        with transformer.cache_context(BRANCH):
            timestep = torch.zeros(1, dtype=torch.long, device=latents.device)
            transformer(latents, timestep, text, return_dict=False)
    finally:
        state.recorded = None
    return tuple(recorded)


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
        query = _split_heads(attn, attn.norm_q(query))
        key, value = _split_heads(attn, attn.norm_k(key)), _split_heads(attn, value)
        cosine, sine = (part.flatten(0, 2) for part in rotary_emb)  # (1, N, 1, d) to (N, d)
        out = dispatch_attention_fn(
            apply_rotary_emb(query, (cosine, sine), sequence_dim=1),
            apply_rotary_emb(key, (cosine, sine), sequence_dim=1),
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
        key = _split_heads(attn, attn.norm_k(key)).expand(len(query), -1, -1, -1)
        value = _split_heads(attn, value).expand(len(query), -1, -1, -1)
        bias, weight = self.state.bias, self.state.weight
        assert weight is not None, "set together with the features"
        bias = None if bias is None else bias.to(query.device, query.dtype)
        backend: Any = self._attention_backend if bias is None else "native"
        read = dispatch_attention_fn(query, key, value, attn_mask=bias, backend=backend)
        return read.flatten(2, 3).type_as(query) * weight.to(query.device, query.dtype)


class ReferenceHook(ModelHook):
    """Takes `reference` out of `attention_kwargs` and prepares it for the branch at hand."""

    _is_stateful = True

    def __init__(self, state: ReferenceState) -> None:
        super().__init__()
        self.state = state
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
        """Fill the state; the transformer itself never sees the reference."""
        attention = dict(kwargs.get("attention_kwargs") or {})
        reference: WanReference | None = attention.pop("reference", None)
        kwargs["attention_kwargs"] = attention or None
        latents: Tensor = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        self._fill(reference, _token_grid(module, latents), latents)
        return args, kwargs

    def _fill(
        self, reference: WanReference | None, grid: tuple[int, int, int], latents: Tensor
    ) -> None:
        state, context = self.state, self.state_manager._context
        branch = context.name if context else "cond"
        own = reference.features.get(branch) if reference else None
        if reference is None or not own or reference.strength <= 0:
            state.features = state.bias = state.weight = None
            return
        bias, weight = None, torch.ones(1, 1, 1, device=latents.device)
        if reference.regions is not None:
            regions = pad_frames(reference.regions.to(latents.device, torch.float32), grid)
            bias, weight = region_bias(regions, own[0][0].shape[1])
        state.features = tuple(torch.cat(per_block, dim=1) for per_block in zip(*own, strict=True))
        state.bias = None if bias is None else bias.to(latents.dtype)
        state.weight = (reference.strength * weight).to(latents.dtype)


def _state(transformer: WanTransformer) -> ReferenceState | None:
    processor = transformer.blocks[0].attn1.processor
    return processor.state if isinstance(processor, WanReferenceProcessor) else None
