"""Reference layers for Wan: their weights, where they are attached, and what they read.

One pass of the model itself over the clean latents of a face, at time 0, records what each block's
self-attention read there; while a video is made, each block attends to that too (Lynx full, Sang
et al. 2025). How is the work of `wan_reference_attention`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.hooks.hooks import HookRegistry
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from idvid.errors import ModelError
from idvid.models.wan_attach import home_of, too_late
from idvid.models.wan_reference_attention import (
    ReferenceHook,
    ReferenceState,
    WanReferenceProcessor,
)

if TYPE_CHECKING:
    from torch import Tensor

    from idvid.models.wan_hook import WanTransformer
    from idvid.models.wan_reference_attention import Features

HOOK = "idvid_reference"
BRANCH = "reference"  # the cache context of the recording pass


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


def attach_reference(transformer: WanTransformer, layers: WanReferenceLayers) -> None:
    """Put `layers` on the self-attention of the blocks; the modules are shared, not copied.

    Raises:
        ModelError: they do not fit the transformer, are there already, or it is too late.
    """
    if _state(transformer) is not None:
        raise ModelError("This model has reference layers already; detach them first.")
    done = too_late(transformer)
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
        attn.ref_kv = layer.to(home_of(attn), attn.norm_q.weight.dtype)
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


def _state(transformer: WanTransformer) -> ReferenceState | None:
    processor = transformer.blocks[0].attn1.processor
    return processor.state if isinstance(processor, WanReferenceProcessor) else None
