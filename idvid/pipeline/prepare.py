"""A scene and its references as the tensors that stay the same over a whole clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from idvid.conditioning.anchors import blank_latents
from idvid.conditioning.identity import identity_memory
from idvid.conditioning.references import cut_out, reference_features, reference_pictures
from idvid.conditioning.text import compile_prompt, encode_prompt, encode_words, slot_ids
from idvid.config import ALL_PARTS
from idvid.models.prompt_encoder import PAD_ID
from idvid.pipeline.backend import HEIGHT_PX, WIDTH_PX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from idvid.conditioning.references import ReferenceFeatures, ReferencePictures
    from idvid.config import GenerationSettings, IdentityParts
    from idvid.faces.quality import ReferenceFace
    from idvid.methods import Keyframes, Method
    from idvid.models.checkpoint import BundledModel
    from idvid.models.conditions import Prompt
    from idvid.types import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedScene:
    """What every window of a clip shares."""

    prompt: Prompt  # for the video model
    no_prompt: Prompt  # the empty one, for guidance
    plan_prompt: Prompt  # the planner's own tokens, and a silent row for its guidance
    slots: Tensor  # (1, C)
    pictures: tuple[ReferencePictures, ...]  # per character; empty without references
    vectors: tuple[Tensor, ...]  # per character (R, E) of the conditioning backbone; or empty
    memory: Tensor | None  # (1, M, D) identity tokens; None without references
    owner: Tensor | None  # (1, M)
    blank: Tensor  # (C, h, w) latents of what anchors fade to


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One clip in the making: what does not change from window to window."""

    prepared: PreparedScene
    settings: GenerationSettings
    method: Method
    generator: torch.Generator
    redraws: torch.Generator  # of what only some methods draw, so that all start from one noise
    noise: Tensor  # (C, h, w) what the frames' noise has in common

    @property
    def keyframes(self) -> Keyframes | None:
        """The method's keyframes; without photos there is nothing to check them against."""
        return self.method.keyframes if self.prepared.pictures else None


@torch.no_grad()
def prepare_scene(
    model: BundledModel,
    scene: Scene,
    references: Sequence[Sequence[ReferenceFace]],
    parts: IdentityParts = ALL_PARTS,
) -> PreparedScene:
    """Encode the prompt and, where there are any, the characters' references.

    Args:
        model: the bundled model.
        scene: prompt and characters.
        references: per character, the usable photos with their faces; empty for a method that
            reads no photos.
        parts: which parts of the identity stack are on.
    """
    ids = encode_words(compile_prompt(scene.prompt, scene.characters), model.tokenizer)
    slots = torch.arange(len(scene.characters))[None]
    names = slot_ids(model.tokenizer)[slots]
    both = torch.cat([ids, torch.full_like(ids, PAD_ID)])
    matte = model.matte if parts.matte else None
    pictures = tuple(
        cut_out(reference_pictures([r.image for r in own], [r.face.landmarks for r in own]), matte)
        for own in references
    )
    features = [reference_features(p, model.backbone, model.autoencoder) for p in pictures]
    memory, owner = _memory(model, features, slots, parts) if features else (None, None)
    return PreparedScene(
        prompt=encode_prompt(model.prompt_encoder, ids, names),
        no_prompt=encode_prompt(model.prompt_encoder, torch.full((1, 1), PAD_ID), names),
        plan_prompt=encode_prompt(model.planner_prompt_encoder, both, names.expand(2, -1)),
        slots=slots,
        pictures=pictures,
        vectors=tuple(f.vectors for f in features),
        memory=memory,
        owner=owner,
        blank=blank_latents(model.autoencoder, (HEIGHT_PX, WIDTH_PX)),
    )


def _memory(
    model: BundledModel,
    features: Sequence[ReferenceFeatures],
    slots: Tensor,
    parts: IdentityParts,
) -> tuple[Tensor, Tensor]:
    vectors, patches, has_reference = pad_references(features)
    return identity_memory(
        model.identity_encoder,
        model.identity_bank,
        vectors[None],
        patches[None],
        has_reference[None],
        slots,
        parts,
    )


def pad_references(
    features: Sequence[ReferenceFeatures],
) -> tuple[Tensor, Tensor, Tensor]:
    """Stack characters with different numbers of references: (C, R, E), (C, R, P, F), (C, R)."""
    most = max(len(f.vectors) for f in features)
    first = features[0]
    vectors = first.vectors.new_zeros(len(features), most, first.vectors.shape[1])
    patches = first.patches.new_zeros(len(features), most, *first.patches.shape[1:])
    has_reference = torch.zeros(len(features), most, dtype=torch.bool)
    for index, own in enumerate(features):
        count = len(own.vectors)
        vectors[index, :count], patches[index, :count] = own.vectors, own.patches
        has_reference[index, :count] = True
    return vectors, patches, has_reference
