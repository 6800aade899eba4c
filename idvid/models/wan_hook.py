"""What our attentions on Wan share: the hook that picks a branch's value, heads, grids, regions.

A value travels in `attention_kwargs`, which every Wan pipeline of diffusers hands to its
transformer; a hook on the transformer takes it out and lays it out for the blocks' processors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast

import torch
from diffusers.hooks.hooks import BaseState, ModelHook, StateManager
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor, nn

# Torch's types know no sub-modules, and diffusers has no common class of these.
WanTransformer: TypeAlias = Any  # WanTransformer3DModel, WanVACETransformer3DModel, relatives
WanAttention: TypeAlias = Any  # an attention of one of their blocks
Grid: TypeAlias = tuple[int, int, int]  # video tokens in time, height and width


class _NoState(BaseState):
    def reset(self, *args: object, **kwargs: object) -> None:
        """A branch keeps nothing from step to step."""


class BranchHook(ModelHook, ABC):
    """Takes the value `key` out of `attention_kwargs` and fills the state of its processors.

    diffusers tells stateful hooks the name of the `cache_context`; pipelines that set none
    (video to video, modular) compute "cond".
    """

    key: ClassVar[str]
    _is_stateful = True

    def __init__(self) -> None:
        super().__init__()
        self.state_manager = StateManager(cast("Any", _NoState))

    def reset_state(self, module: nn.Module) -> nn.Module:
        """Nothing is kept."""
        return module

    def pre_forward(
        self,
        module: WanTransformer,
        *args: Any,  # noqa: ANN401 - diffusers' protocol
        **kwargs: Any,  # noqa: ANN401
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Fill the state; the transformer itself never sees the value."""
        attention = dict(kwargs.get("attention_kwargs") or {})
        value = attention.pop(self.key, None)
        kwargs["attention_kwargs"] = attention or None
        latents: Tensor = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        self.fill(value, token_grid(module, latents), latents)
        return args, kwargs

    @property
    def branch(self) -> str:
        """The branch of guidance that is being computed."""
        context = self.state_manager._context
        return context.name if context else "cond"

    @abstractmethod
    def fill(self, value: Any, grid: Grid, latents: Tensor) -> None:  # noqa: ANN401 - the subclass's
        """Lay the value, None if there is none, out for this pass.

        Args:
            value: what came under `key`.
            grid: the video tokens of this pass.
            latents: what the transformer reads, for device and precision.
        """


def split_heads(attn: WanAttention, values: Tensor) -> Tensor:
    """(B, N, D) to (B, N, heads, d)."""
    return values.unflatten(2, (attn.heads, -1))


def token_grid(module: WanTransformer, latents: Tensor) -> Grid:
    """Tokens in time, height and width for latents (B, C, T, H, W)."""
    frames, rows, columns = (
        side // patch
        for side, patch in zip(latents.shape[2:], module.config.patch_size, strict=True)
    )
    return frames, rows, columns


def lay_out(
    regions: Tensor | None, keys_per_character: int, grid: Grid, latents: Tensor
) -> tuple[Tensor | None, Tensor]:
    """`region_bias` of regions (B, C, f, h, w) on this pass's grid; None: everywhere in full."""
    if regions is None:
        return None, torch.ones(1, 1, 1, device=latents.device)
    padded = pad_frames(regions.to(latents.device, torch.float32), grid)
    bias, coverage = region_bias(padded, keys_per_character)
    return None if bias is None else bias.to(latents.dtype), coverage


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


def pad_frames(regions: Tensor, grid: Grid) -> Tensor:
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
