"""What the video model says of the clean frames, as a function of noise: guided, held by anchors.

Sampling and the teacher of distillation share it, so that a student learns what is sampled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from idvid.config import FEW_STEPS, FULL_STEPS
from idvid.errors import InputError
from idvid.models.face_plan import emphasised
from idvid.pipeline.denoise import ahead, guide, hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from idvid.config import GenerationSettings
    from idvid.methods import Method
    from idvid.models.checkpoint import BundledModel
    from idvid.models.conditions import Conditions, Identity
    from idvid.models.video_transformer import VideoTransformer


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """What steers the prediction beside the conditions."""

    scale: float = 1.0  # of classifier-free guidance; 1 is none
    hold_until: float = 0.0  # 0..1, see `Method.hold_until`
    hold_ahead: float = 0.0  # share of all steps by which the hold is further than the step
    blank: Tensor | float = 0.0  # (C, h, w) latents of what anchors fade to, see `blank_latents`


def student_steering(hold_until: float, blank: Tensor | float) -> Steering:
    """How the student is steered while it learns: held as its teacher is in its last sub-step.

    That is nearest to what the teacher's sub-steps add up to, so that little is left to learn.
    Sampling holds it by its own steps, which is more: faces are more like the photos (docs/log.md).
    """
    return Steering(hold_until=hold_until, hold_ahead=1 / FEW_STEPS - 1 / FULL_STEPS, blank=blank)


def sampler(
    model: BundledModel, method: Method, settings: GenerationSettings, blank: Tensor | float = 0.0
) -> tuple[VideoTransformer, Steering]:
    """Which transformer makes the clip, and what steers it.

    The student was taught the teacher's guided steps and is not guided again.

    Raises:
        InputError: guidance is asked of the student.
    """
    student = model.transformer_few
    held = Steering(hold_until=method.hold_until * settings.parts.anchors, blank=blank)
    if student is None or not settings.few_steps or settings.num_steps != FEW_STEPS:
        return model.transformer, replace(held, scale=settings.guidance_scale)
    if settings.guidance_scale != 1:
        raise InputError(
            f"{FEW_STEPS} steps are the fast model's, which takes no guidance, and guidance is "
            f"{settings.guidance_scale:g}; set it to 1, or take {FULL_STEPS} steps."
        )
    return student, held


def predictor(
    transformer: VideoTransformer,
    conditions: Conditions,
    plain: Conditions,
    grid: tuple[int, int],
    steering: Steering,
) -> Callable[[Tensor, Tensor], Tensor]:
    """The `predict` of `denoise`: noisy latents and t per frame to clean latents, in float32.

    Args:
        transformer: the video model.
        conditions: what it reads.
        plain: what it reads in guidance's second pass; not looked at where the scale is 1.
        grid: rows and columns of tokens.
        steering: guidance and hold.
    """
    scale = steering.scale
    is_guided = scale != 1
    # Told louder too, the second pass would take back what the first one adds.
    louder = replace(conditions, expression=emphasised(conditions.expression))
    full = transformer.prepare(louder if is_guided else conditions, *grid)
    bare = transformer.prepare(plain, *grid) if is_guided else full

    def predict(noisy: Tensor, level: Tensor) -> Tensor:
        clean = transformer(noisy, level, full).float()
        if is_guided:
            clean = guide(clean, transformer(noisy, level, bare).float(), scale)
        held_at = ahead(level, steering.hold_ahead) if steering.hold_ahead else level
        return _held(clean, conditions.identity, held_at, steering)

    return predict


def _held(clean: Tensor, identity: Identity | None, level: Tensor, steering: Steering) -> Tensor:
    """Pulled towards the photos' colours, not towards the grey that anchors fade to at their rim.

    Latents of a picture that fades to another are nearly those of the two, faded alike.
    """
    if identity is None or steering.hold_until <= 0:
        return clean
    given = identity.is_given.to(clean.dtype)[:, None, None, None, None]
    share = given * min(identity.strength, 1.0)
    coverage = identity.anchors[:, :, -1:]
    known = identity.anchors[:, :, :-1] - (1 - coverage) * steering.blank
    return hold(clean, share * known, share * coverage, level, steering.hold_until)
