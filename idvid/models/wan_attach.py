"""Identity layers put on a Wan transformer and taken off again.

Attach first; then offload, compile, quantise or parallelise: each of these looks at the weights
that are there, and weights that come later would be left behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.hooks.hooks import HookRegistry

from idvid.errors import ModelError
from idvid.models.wan_attention import IdentityHook, IdentityState, WanIdentityProcessor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from idvid.models.wan_hook import WanAttention, WanTransformer
    from idvid.models.wan_identity import WanIdentityLayers

HOOK = "idvid_identity"
COMPILED = "_torchdynamo_orig_callable"  # what torch.compile marks a function with
_TOO_LATE = {  # prefix of a diffusers hook -> what the user did
    "group_offloading": "offloaded",
    "lazy_prefetch": "offloaded",
    "layerwise_casting": "cast to a smaller storage type",
    "cp_": "split over several devices",
    "tp_": "split over several devices",
}


def attach_identity(
    transformer: WanTransformer,
    layers: WanIdentityLayers,
    dtype: torch.dtype | None = None,
) -> None:
    """Put `layers` on the cross-attention of their blocks; the modules are shared, not copied.

    A transformer that was loaded with a `device_map`, or quantised while it was loaded, is fine:
    each layer goes to the device that computes its block, in the precision of the block's norms.

    Args:
        transformer: WanTransformer3DModel, WanVACETransformer3DModel or a relative.
        layers: the weights.
        dtype: their precision; None: that of the transformer's norms (training keeps float32).

    Raises:
        ModelError: they do not fit the transformer, or it is too late to attach.
    """
    _refuse_late(transformer)
    _refuse_misfit(transformer, layers)
    state = IdentityState()
    for index, layer in zip(layers.config["layer_ids"], layers.layers, strict=True):
        attn = transformer.blocks[index].attn2
        attn.id_kv = layer.to(home_of(attn), dtype or attn.norm_q.weight.dtype)
        attn.set_processor(WanIdentityProcessor(state, attn.processor))
    registry = HookRegistry.check_if_exists_or_initialize(transformer)
    registry.register_hook(IdentityHook(state, layers.config["n_registers"]), HOOK)
    registry.invalidate_child_registries_cache()


def detach_identity(transformer: WanTransformer) -> None:
    """Leave the transformer as it was before `attach_identity`; nothing if it was not attached."""
    for attn in _attached(transformer):
        processor = attn.processor
        restored = processor.replaced
        restored._attention_backend = processor._attention_backend
        attn.set_processor(restored)
        del attn.id_kv
    if is_attached(transformer):
        registry = HookRegistry.check_if_exists_or_initialize(transformer)
        registry.remove_hook(HOOK, recurse=False)
        registry.invalidate_child_registries_cache()


def is_attached(transformer: WanTransformer) -> bool:
    """Whether identity layers are on this transformer."""
    registry = getattr(transformer, "_diffusers_hook", None)
    return registry is not None and registry.get_hook(HOOK) is not None


def _attached(transformer: WanTransformer) -> Iterator[WanAttention]:
    for block in transformer.blocks:
        if isinstance(block.attn2.processor, WanIdentityProcessor):
            yield block.attn2


def _refuse_late(transformer: WanTransformer) -> None:
    if is_attached(transformer):
        raise ModelError("This model has identity layers already; detach them first.")
    done = too_late(transformer)
    if done:
        raise ModelError(
            f"The model is {done} already; attach the identity layers first, then do that."
        )


def too_late(transformer: WanTransformer) -> str | None:
    """What was done to the transformer that leaves later weights behind."""
    done = {what for module in transformer.modules() for what in _done_to(module)}
    if hasattr(transformer, "hf_device_map"):  # accelerate's hooks, but placed by a map
        done.discard("offloaded by accelerate")
    if getattr(transformer, "hf_quantizer", None) is None and _is_quantised(transformer):
        done.add("quantised")
    return min(done, default=None)


def _done_to(module: nn.Module) -> Iterator[str]:
    if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
        yield "compiled"
    if hasattr(vars(module).get("forward"), COMPILED):  # perhaps below hooks, which copy the mark
        yield "compiled"
    for name in getattr(getattr(module, "_diffusers_hook", None), "hooks", ()):
        yield from (what for prefix, what in _TOO_LATE.items() if name.startswith(prefix))
    if hasattr(module, "_hf_hook"):
        yield "offloaded by accelerate"


def _is_quantised(transformer: nn.Module) -> bool:
    """Whether a weight is not a plain tensor of 16 bits or more."""
    floats = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
    return any(
        type(weight.data) is not torch.Tensor or weight.dtype not in floats
        for weight in transformer.parameters()
    )


def _refuse_misfit(transformer: WanTransformer, layers: WanIdentityLayers) -> None:
    ids, count = layers.config["layer_ids"], len(transformer.blocks)
    if not ids or min(ids) < 0 or max(ids) >= count or len(set(ids)) != len(ids):
        raise ModelError(
            f"The identity adapter is for blocks {list(ids)[:3]} to {max(ids, default=0)} and the "
            f"model has {count}; choose an adapter that was made for this model."
        )
    width = transformer.blocks[0].attn2.inner_dim
    if layers.config["dim"] != width:
        raise ModelError(
            f"The identity adapter is {layers.config['dim']} wide and the model {width}; "
            "choose an adapter that was made for this model."
        )


def home_of(attn: WanAttention) -> torch.device:
    """The device on which a cross-attention is computed, wherever its weights rest."""
    for module in (attn.to_out[0], attn):
        device = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
        if device is not None:
            return torch.device(device)
    return attn.norm_q.weight.device
