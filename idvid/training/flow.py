"""The video modules in training on one batch: conditions, prediction, velocity loss."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from torch.nn import functional

from idvid.conditioning.identity import identity_memory
from idvid.conditioning.text import MAX_TOKENS, encode_prompt
from idvid.models.conditions import Conditions, Identity, Prompt
from idvid.models.identity_bank import NO_OWNER
from idvid.models.video_transformer import PATCH
from idvid.pipeline.denoise import SHARED_NOISE
from idvid.training.objective import add_noise, clip_noise, face_weight, velocity_loss
from idvid.training.seeding import MAX_PEOPLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor, nn

    from idvid.models.identity_bank import MultiCharacterIdentityBank
    from idvid.models.identity_encoder import IdentityEncoder
    from idvid.models.video_transformer import VideoTransformer
    from idvid.training.video_batch import VideoBatch

_READ_AT_ONCE = 16
PARTS = ("transformer", "identity_encoder", "identity_bank", "prompt_encoder")


def conditions_of(model: nn.Module, batch: VideoBatch, *, evened: bool = False) -> Conditions:
    """Encode captions and references with the modules in training.

    `evened`: whoever reads finds the same lengths in every batch, see `evened_conditions`.
    """
    encoder = model.get_submodule("prompt_encoder")
    memory, owner = identity_memory(
        cast("IdentityEncoder", model.get_submodule("identity_encoder")),
        cast("MultiCharacterIdentityBank", model.get_submodule("identity_bank")),
        batch.vectors,
        batch.patches,
        batch.has_reference,
        batch.slots,
    )
    identity = Identity(memory=memory, owner=owner, anchors=batch.anchors, is_given=batch.is_given)
    conditions = Conditions(
        time_s=batch.time_s,
        prompt=encode_prompt(encoder, batch.ids, batch.names),
        landmarks=batch.landmarks,
        expression=batch.expression,
        is_visible=batch.is_visible,
        slots=batch.slots,
        identity=identity,
    )
    return evened_conditions(conditions) if evened else conditions


def evened_conditions(conditions: Conditions) -> Conditions:
    """Prompt and identity memory padded with what nobody may read, to one length for all batches.

    A compiled block is made anew for every length that it meets, which takes a GPU longer than
    reading the padding. With the null token the memory is a multiple of what GPUs read at once.
    """
    prompt, identity = conditions.prompt, conditions.identity
    words = MAX_TOKENS - prompt.tokens.shape[1]
    prompt = Prompt(
        tokens=functional.pad(prompt.tokens, (0, 0, 0, words)),
        is_token=functional.pad(prompt.is_token, (0, words), value=False),
        mentions=functional.pad(prompt.mentions, (0, words)),
    )
    if identity is not None:
        held, people = identity.memory.shape[1], conditions.slots.shape[1]
        needed = 1 + MAX_PEOPLE * (held // people)
        missing = -(-needed // _READ_AT_ONCE) * _READ_AT_ONCE - 1 - held
        identity = replace(
            identity,
            memory=functional.pad(identity.memory, (0, 0, 0, missing)),
            owner=functional.pad(identity.owner, (0, missing), value=NO_OWNER),
        )
    return replace(conditions, prompt=prompt, identity=identity)


def predictor(
    model: nn.Module, batch: VideoBatch, *, evened: bool = False
) -> Callable[[Tensor, Tensor], Tensor]:
    """A function (noisy latents, level (B, T)) -> clean latents, under the batch's conditions."""
    transformer = cast("VideoTransformer", model.get_submodule("transformer"))
    rows, columns = batch.latents.shape[-2] // PATCH, batch.latents.shape[-1] // PATCH
    prepared = transformer.prepare(conditions_of(model, batch, evened=evened), rows, columns)

    def predict(noisy: Tensor, level: Tensor) -> Tensor:
        return transformer(noisy, level, prepared).float()

    return predict


def flow_losses(
    model: nn.Module,
    batch: VideoBatch,
    level: Tensor,
    generator: Generator,
    weights: tuple[float, float],
    *,
    evened: bool = False,
) -> tuple[Tensor, Tensor]:
    """Predicted clean latents (B, T, C, h, w) and the velocity loss.

    `weights` are what counts more on faces, and on their eyes and mouths; see `face_weight`.
    """
    clean = batch.latents
    noise = clip_noise(clean, generator, SHARED_NOISE)
    noisy = add_noise(clean, noise, level)
    predicted = predictor(model, batch, evened=evened)(noisy, level)
    size = (clean.shape[-2], clean.shape[-1])
    weight = face_weight(batch.landmarks, batch.is_visible, size, *weights)
    return predicted, velocity_loss(predicted, clean, level, weight)
