"""What the video transformer reads beside the noisy latents, as one frozen bundle of tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    has_regions: bool = True  # False: every token may read every character


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The encoded prompt, and where it speaks of whom."""

    tokens: Tensor  # (B, L, D)
    is_token: Tensor  # (B, L) bool
    mentions: Tensor  # (B, C, L) weights of the tokens that name each character: sum 1, or 0

    def of_characters(self) -> Tensor:
        """What the prompt says of each character (B, C, D): the mean of its name's tokens."""
        return self.mentions.to(self.tokens.dtype) @ self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Everything but the latents and their noise level."""

    time_s: Tensor  # (B, T) time of each frame in seconds
    prompt: Prompt
    landmarks: Tensor  # (B, C, T, 5, 2) face plan in units of the frame height
    expression: Tensor  # (B, C, T, NUM_EXPRESSION) the plan's, see `config.EXPRESSION`
    is_visible: Tensor  # (B, C, T) bool
    slots: Tensor  # (B, C) slot of each character, 0..max_characters - 1
    identity: Identity | None = None
