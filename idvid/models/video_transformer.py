"""The video diffusion transformer of idvid-mini: noisy latents of a window to clean latents.

Every frame has a noise level of its own (diffusion forcing, Chen et al. 2024), so that one set of
weights generates, continues clean frames and fills in between them. Time enters attention as real
seconds. Knows latents and tokens only: pictures, prompts and photos are encoded elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from torch import nn

from idvid.models.face_plan import (
    NUM_EXPRESSION,
    PLAN_FEATURES,
    plan_features,
    standardised,
    token_centres,
)
from idvid.models.identity_attention import IdentityAwareAttention, IdentityContext, mask_bias
from idvid.models.layers import (
    HEAD_WIDTH,
    Attention,
    SwiGLU,
    grid_angles,
    padding_bias,
    rotary_angles,
    sinusoidal,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from idvid.models.conditions import Conditions, Identity

PATCH = 2
TIME_SCALE = 12.0  # rotary positions per second
_NOISE_WIDTH = 256
# Expressions are a small part of the loss, and their layer starts at zero beside trained ones: in units
# of an eighth of their spread it learns as at eight times the rate.
_EXPRESSION_GAIN = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockMemory:
    """What one block reads beside its tokens."""

    text: tuple[Tensor, Tensor]  # keys and values
    text_bias: Tensor  # (B, 1, 1, L)
    identity: IdentityContext | None
    time_turns: Tensor  # (2, B, T, HEAD_WIDTH) rotary cosines and sines
    grid_turns: Tensor  # (2, N, HEAD_WIDTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedConditions:
    """Everything that does not change over the denoising steps of a window."""

    embedding: Tensor  # (B, T, N, D) face plan and, if given, the references warped to it
    prior_mean: Tensor  # (B, T, C, h, w) what the anchors say about the clean latents
    prior_variance: Tensor  # (B, T, 1, h, w) how little they say; 1 without identity
    memories: tuple[BlockMemory, ...]  # per block


class TransformerBlock(nn.Module):
    """Identity-aware attention, attention to the prompt, then a gated feed-forward network."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width, elementwise_affine=False)
        self.attention = IdentityAwareAttention(width)
        self.norm_text = nn.LayerNorm(width)
        self.text = Attention(width)
        self.norm_out = nn.LayerNorm(width, elementwise_affine=False)
        self.feed_forward = SwiGLU(width)
        self.modulation = nn.Parameter(torch.randn(6, width) * 0.02)

    def forward(self, hidden: Tensor, modulation: Tensor, memory: BlockMemory) -> Tensor:
        """Map tokens (B, T, N, D); `modulation` (B, T, 6, D) comes from the noise levels."""
        shifts = (modulation + self.modulation)[:, :, :, None].unbind(2)
        shift, scale, gate, shift_out, scale_out, gate_out = shifts
        normed = self.norm_attention(hidden) * (1 + scale) + shift
        hidden = hidden + gate * self.attention.attend_space(normed, memory.grid_turns)
        hidden = self.attention.attend_time(hidden, memory.time_turns)
        hidden = self.attention.attend_identity(hidden, memory.identity)
        hidden = self._attend_text(hidden, memory.text, memory.text_bias)
        normed = self.norm_out(hidden) * (1 + scale_out) + shift_out
        return hidden + gate_out * self.feed_forward(normed)

    def _attend_text(
        self, hidden: Tensor, keys_values: tuple[Tensor, Tensor], bias: Tensor
    ) -> Tensor:
        flat = rearrange(self.norm_text(hidden), "b t n d -> b (t n) d")
        return hidden + self.text.attend(flat, keys_values, bias).view(hidden.shape)


class VideoTransformer(ModelMixin, ConfigMixin):
    """Predict the clean latents of a window of frames (rectified flow, Liu et al. 2022)."""

    _repeated_blocks: ClassVar = ["TransformerBlock"]  # for diffusers' compile_repeated_blocks

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 12,
        width: int = 256,
        depth: int = 8,
        max_characters: int = 8,
    ) -> None:
        super().__init__()
        patch_features = latent_channels * PATCH * PATCH
        self.patch_in = nn.Linear(patch_features, width)
        self.plan_in = nn.Linear(PLAN_FEATURES, width)
        self.expression_in = nn.Linear(NUM_EXPRESSION, width, bias=False)
        self.slot_in = nn.Parameter(torch.randn(max_characters, width) * 0.02)
        self.mention_in = nn.Linear(width, width, bias=False)
        self.anchor_in = nn.Linear(patch_features + PATCH * PATCH, width)
        self.anchor_gain = nn.Parameter(torch.full((latent_channels, 1, 1), 0.6))
        self.anchor_trust = nn.Parameter(torch.tensor(0.4))
        modulation = nn.Linear(width, 6 * width)
        self.noise_in = nn.Sequential(nn.Linear(_NOISE_WIDTH, width), nn.SiLU(), modulation)
        self.blocks = nn.ModuleList(TransformerBlock(width) for _ in range(depth))
        self.norm_out = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation_out = nn.Parameter(torch.randn(2, width) * 0.02)
        self.patch_out = nn.Linear(width, patch_features)
        nn.init.zeros_(self.expression_in.weight)
        nn.init.zeros_(self.mention_in.weight)
        nn.init.zeros_(modulation.weight)
        nn.init.zeros_(modulation.bias)
        nn.init.zeros_(self.patch_out.weight)
        nn.init.zeros_(self.patch_out.bias)

    def prepare(self, conditions: Conditions, rows: int, columns: int) -> PreparedConditions:
        """Compute once per window what its denoising steps share.

        Args:
            conditions: see `Conditions`; B, T as the latents'.
            rows: height of the latents / 2.
            columns: width of the latents / 2.
        """
        centres = token_centres(rows, columns, conditions.landmarks.device)
        features, log_masks = plan_features(conditions.landmarks, conditions.is_visible, centres)
        embedding = self.plan_in(features.sum(1))
        named = self.slot_in[conditions.slots]  # (B, C, D)
        named = named + self.mention_in(conditions.prompt.of_characters())
        acted = _EXPRESSION_GAIN * standardised(conditions.expression)
        told = named[:, :, None] + self.expression_in(acted)  # (B, C, T, D)
        embedding = embedding + torch.einsum("bctn,bctd->btnd", features[..., -1], told)
        identity = _active(conditions.identity)
        shape = (*conditions.time_s.shape, self.config["latent_channels"], 2 * rows, 2 * columns)
        mean, variance = self._prior(identity, embedding.new_zeros(shape))
        if identity is not None:
            embedding = embedding + self._embed_anchors(identity)
        return PreparedConditions(
            embedding=embedding,
            prior_mean=mean,
            prior_variance=variance,
            memories=self._memories(conditions, log_masks, (rows, columns)),
        )

    def forward(self, latents: Tensor, noise_level: Tensor, prepared: PreparedConditions) -> Tensor:
        """Predict clean latents.

        Args:
            latents: (B, T, C, h, w) = t * clean + (1 - t) * noise.
            noise_level: (B, T) the t of each frame: 0 pure noise, 1 clean.
            prepared: what `prepare` made for these frames.
        """
        rows, columns = latents.shape[-2] // PATCH, latents.shape[-1] // PATCH
        hidden = self.patch_in(_patchify(latents)) + prepared.embedding
        noise = self.noise_in(sinusoidal(noise_level * 1000, _NOISE_WIDTH))
        modulation = rearrange(noise, "b t (six d) -> b t six d", six=6)
        for block, memory in zip(self._blocks(), prepared.memories, strict=True):
            hidden = block(hidden, modulation, memory)
        shift, scale = (modulation[:, :, :2] + self.modulation_out)[:, :, :, None].unbind(2)
        patches = self.patch_out(self.norm_out(hidden) * (1 + scale) + shift)
        layout = "b t (r w) (c p q) -> b t c (r p) (w q)"
        output = rearrange(patches, layout, r=rows, w=columns, p=PATCH, q=PATCH)
        return _precondition(latents, noise_level, output, prepared)

    def _prior(self, identity: Identity | None, zeros: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the clean latents before anything is seen of them."""
        if identity is None:
            return zeros, torch.ones_like(zeros[:, :, :1])
        latents, coverage = identity.anchors[:, :, :-1], identity.anchors[:, :, -1:]
        trusted = coverage * _anchor_weight(identity)[:, None, None]
        variance = 1 - self.anchor_trust.clamp(0, 0.9) * trusted
        return self.anchor_gain * trusted * latents, variance

    def _blocks(self) -> Iterable[TransformerBlock]:
        return cast("Iterable[TransformerBlock]", self.blocks)

    def _embed_anchors(self, identity: Identity) -> Tensor:
        embedded = self.anchor_in(_patchify(identity.anchors))
        return embedded * _identity_weight(identity)[:, None]

    def _memories(
        self, conditions: Conditions, log_masks: Tensor, grid: tuple[int, int]
    ) -> tuple[BlockMemory, ...]:
        contexts = self._identity_contexts(_active(conditions.identity), log_masks)
        text_bias = padding_bias(conditions.prompt.is_token)
        time = turns(rotary_angles(conditions.time_s * TIME_SCALE, HEAD_WIDTH))
        place = turns(grid_angles(*grid, log_masks.device))
        return tuple(
            BlockMemory(
                text=block.text.keys_values(conditions.prompt.tokens),
                text_bias=text_bias,
                identity=context,
                time_turns=time,
                grid_turns=place,
            )
            for block, context in zip(self._blocks(), contexts, strict=True)
        )

    def _identity_contexts(
        self, identity: Identity | None, log_masks: Tensor
    ) -> tuple[IdentityContext | None, ...]:
        if identity is None:
            return (None,) * len(self.blocks)
        masks = log_masks if identity.has_regions else torch.zeros_like(log_masks)
        bias, weight = mask_bias(masks, identity.owner), _identity_weight(identity)
        return tuple(
            block.attention.identity_context(identity.memory, bias, weight)
            for block in self._blocks()
        )


def _active(identity: Identity | None) -> Identity | None:
    return None if identity is None or identity.strength == 0 else identity


def _identity_weight(identity: Identity) -> Tensor:
    return (identity.is_given.to(identity.memory.dtype) * identity.strength)[:, None, None]


def _anchor_weight(identity: Identity) -> Tensor:
    """How much the anchors count (B, 1, 1): all at strength 1 and above, almost all at 0.8.

    A mean that faded in proportion to the strength would only turn the face grey.
    """
    weight = 1 - (1 - min(identity.strength, 1.0)) ** 2
    return (identity.is_given.to(identity.anchors.dtype) * weight)[:, None, None]


def _precondition(
    latents: Tensor, noise_level: Tensor, output: Tensor, prepared: PreparedConditions
) -> Tensor:
    """Add what needs no network (Karras et al. 2022, section 5, for a rectified flow).

    With z = t x + (1 - t) e and x ~ N(mean, variance), the best guess of x from z alone is linear
    in z and the mean; the network gives the rest, in units of that guess's deviation. A clean frame
    passes through unchanged.
    """
    t = noise_level[:, :, None, None, None]
    mean, variance = prepared.prior_mean.float(), prepared.prior_variance.float()
    total = t**2 * variance + (1 - t) ** 2
    guess = (t * variance * latents + (1 - t) ** 2 * mean) / total
    return guess + (1 - t) * (variance / total).sqrt() * output.float()


def _patchify(latents: Tensor) -> Tensor:
    return rearrange(latents, "b t c (r p) (w q) -> b t (r w) (c p q)", p=PATCH, q=PATCH)
