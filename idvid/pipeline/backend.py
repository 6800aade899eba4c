"""What the pipelines have in common: how they describe themselves, and a stream as one clip."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from idvid.config import (
    FEW_STEPS,
    FULL_GUIDANCE,
    FULL_STEPS,
    MAX_CHARACTERS,
    GenerationSettings,
)
from idvid.errors import InputError
from idvid.methods import METHODS
from idvid.pipeline.windows import FPS
from idvid.types import Backend, Clip, WindowDone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from idvid.faces.quality import ReferenceFace
    from idvid.methods import Method
    from idvid.types import Scene, StepDone

HEIGHT_PX, WIDTH_PX = 128, 224
MINI = Backend(
    name="idvid-mini",
    width_px=WIDTH_PX,
    height_px=HEIGHT_PX,
    fps=FPS,
    max_characters=MAX_CHARACTERS,
    methods=tuple(METHODS),
    num_steps=FULL_STEPS,
    guidance_scale=FULL_GUIDANCE,
    full_guidance=FULL_GUIDANCE,
)
MINI_FEW = replace(  # with a student, which was taught the guided model's steps
    MINI,
    num_steps=FEW_STEPS,
    guidance_scale=1.0,
    full_steps=FULL_STEPS,
)


def whole_clip(events: Iterable[StepDone | WindowDone]) -> Clip:
    """All windows of a stream as one clip."""
    windows = [event for event in events if isinstance(event, WindowDone)]
    return Clip(frames=np.concatenate([w.frames for w in windows]), fps=windows[0].fps)


def suited(
    backend: Backend,
    settings: GenerationSettings,
    num_steps: int | None,
    guidance_scale: float | None,
) -> GenerationSettings:
    """The settings with the steps and guidance that were asked for; None is what suits the backend.

    A few-step student is left out where the settings refuse it, and where other steps or another
    guidance than its own are asked for.
    """
    few = (backend.num_steps, backend.guidance_scale)
    full = (backend.full_steps or few[0], backend.full_guidance or few[1])
    asked = (num_steps, guidance_scale)
    is_few = settings.few_steps and all(a in (None, own) for a, own in zip(asked, few, strict=True))
    steps, guidance = few if is_few else full
    return replace(
        settings, num_steps=num_steps or steps, guidance_scale=guidance_scale or guidance
    )


def checked_method(
    backend: Backend,
    scene: Scene,
    references: Sequence[Sequence[ReferenceFace]],
    settings: GenerationSettings,
) -> Method:
    """The method that is asked for.

    Raises:
        InputError: the backend has none of that name, cannot keep so many people apart, or
            characters lack their references.
    """
    method = METHODS.get(settings.method)
    if method is None or method.name not in backend.methods:
        raise InputError(
            f"{backend.name} has no method '{settings.method[:40]}'; use one of "
            f"{', '.join(backend.methods)}."
        )
    count = len(scene.characters)
    if count > backend.max_characters:
        raise InputError(
            f"{backend.name} keeps up to {backend.max_characters} people apart and the scene has "
            f"{count}; remove {count - backend.max_characters} of them."
        )
    if method.uses_references and len(references) != count:
        raise InputError(
            f"{len(references)} characters have references and the scene has {count}; "
            "check the photos of every character first."
        )
    return method
