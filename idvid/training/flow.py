"""The video modules in training on one batch: conditions, prediction, velocity loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from idvid.conditioning.identity import identity_memory
from idvid.conditioning.text import encode_prompt
from idvid.models.conditions import Conditions, Identity
from idvid.models.video_transformer import PATCH
from idvid.pipeline.denoise import SHARED_NOISE
from idvid.training.objective import add_noise, clip_noise, face_weight, velocity_loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor, nn

    from idvid.models.identity_bank import MultiCharacterIdentityBank
    from idvid.models.identity_encoder import IdentityEncoder
    from idvid.models.video_transformer import VideoTransformer
    from idvid.training.video_batch import VideoBatch

PARTS = ("transformer", "identity_encoder", "identity_bank", "prompt_encoder")


def conditions_of(model: nn.Module, batch: VideoBatch) -> Conditions:
    """Encode captions and references with the modules in training."""
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
    return Conditions(
        time_s=batch.time_s,
        prompt=encode_prompt(encoder, batch.ids, batch.names),
        landmarks=batch.landmarks,
        expression=batch.expression,
        is_visible=batch.is_visible,
        slots=batch.slots,
        identity=identity,
    )


def predictor(model: nn.Module, batch: VideoBatch) -> Callable[[Tensor, Tensor], Tensor]:
    """A function (noisy latents, level (B, T)) -> clean latents, under the batch's conditions."""
    transformer = cast("VideoTransformer", model.get_submodule("transformer"))
    rows, columns = batch.latents.shape[-2] // PATCH, batch.latents.shape[-1] // PATCH
    prepared = transformer.prepare(conditions_of(model, batch), rows, columns)

    def predict(noisy: Tensor, level: Tensor) -> Tensor:
        return transformer(noisy, level, prepared).float()

    return predict


def flow_losses(
    model: nn.Module,
    batch: VideoBatch,
    level: Tensor,
    generator: Generator,
    weights: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """Predicted clean latents (B, T, C, h, w) and the velocity loss.

    `weights` are what counts more on faces, and on their eyes and mouths; see `face_weight`.
    """
    clean = batch.latents
    noise = clip_noise(clean, generator, SHARED_NOISE)
    noisy = add_noise(clean, noise, level)
    predicted = predictor(model, batch)(noisy, level)
    size = (clean.shape[-2], clean.shape[-1])
    weight = face_weight(batch.landmarks, batch.is_visible, size, *weights)
    return predicted, velocity_loss(predicted, clean, level, weight)
