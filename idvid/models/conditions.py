"""What the video transformer reads beside the noisy latents, as one frozen bundle of tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the characters are. Leave it out, or drop rows, and the base model remains."""

    memory: Tensor  # (B, M, D) identity tokens of all characters with separators
    owner: Tensor  # (B, M) index of the token's character among C; -1 nobody may read it
    anchors: Tensor  # (B, T, latents + 1, h, w) references warped to the plan, and their coverage
    is_given: Tensor  # (B,) bool; False: this row of the batch has no identity
    strength: float = 1.0  # identity_strength, 0..1.5; 0 is exactly the base model


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Everything but the latents and their noise level."""

    time_s: Tensor  # (B, T) time of each frame in seconds
    text: Tensor  # (B, L, D)
    is_text: Tensor  # (B, L) bool
    landmarks: Tensor  # (B, C, T, 5, 2) face plan in units of the frame height
    is_visible: Tensor  # (B, C, T) bool
    slots: Tensor  # (B, C) slot of each character, 0..max_characters - 1
    identity: Identity | None = None


def move(bundle: Conditions, device: torch.device | str) -> Conditions:
    """The same conditions with every tensor on `device`."""
    identity = bundle.identity
    moved = {f.name: getattr(bundle, f.name) for f in fields(bundle) if f.name != "identity"}
    moved = {name: tensor.to(device) for name, tensor in moved.items()}
    if identity is not None:
        tensors = {f.name: getattr(identity, f.name) for f in fields(identity)}
        identity = Identity(
            **{k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in tensors.items()}
        )
    return replace(bundle, **moved, identity=identity)
