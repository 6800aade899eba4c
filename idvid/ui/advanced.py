"""The closed box of advanced settings: strength, seed, steps and guidance.

Owns its components, and the difference between what a user chose and what was set to suit a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from idvid.config import DEFAULTS, MAX_SEED
from idvid.ui import text
from idvid.ui.boxes import closed_box

if TYPE_CHECKING:
    from idvid.pipeline.offers import Offer

Values = dict[Any, Any]  # component -> its value
Updates = dict[Any, Any]  # component -> new value or properties
ANY_STEPS, ANY_GUIDANCE = 0, 0.0  # what suits the model


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """The components."""

    strength: gr.Slider
    seed: gr.Number
    new_seed: gr.Checkbox
    steps: gr.Slider
    guidance: gr.Slider
    suited: gr.State  # steps and guidance as a model last set them; others are the user's choice

    def inputs(self) -> set[Any]:
        """Every component that a run reads."""
        return {self.strength, self.seed, self.new_seed, *self.of_model()}

    def of_model(self) -> tuple[Any, ...]:
        """What is set as it suits a model."""
        return self.steps, self.guidance, self.suited

    def chosen(self, values: Values) -> dict[str, Any]:
        """Steps and guidance as the API would send them: None where nobody chose."""
        parts, suited = (self.steps, self.guidance), values[self.suited]
        steps, guidance = (
            None if values[part] in (anything, own) else values[part]
            for part, anything, own in zip(parts, (ANY_STEPS, ANY_GUIDANCE), suited, strict=True)
        )
        return {"num_steps": steps, "guidance_scale": guidance}

    def suit(self, offer: Offer) -> Updates:
        """Steps and guidance as they suit a model, whatever was chosen for the last one."""
        suits = suits_of(offer)
        return dict(zip(self.of_model(), (*suits, suits), strict=True))

    def suit_again(self, values: Values, offer: Offer) -> Updates:
        """The same where something was added to the model; what the user chose stays."""
        before, after = values[self.suited], suits_of(offer)
        parts = zip((self.steps, self.guidance), before, after, strict=True)
        changed = {part: new for part, old, new in parts if values[part] == old != new}
        return {self.suited: after, **changed}


def suits_of(offer: Offer) -> tuple[int, float]:
    """Steps and guidance for a model.

    The number of steps is shown where a few-step LoRA decides it, guidance where it does not hang
    on the steps.
    """
    backend = offer.fit.backend
    steps = backend.num_steps if offer.choice.extras.is_few_step else ANY_STEPS
    return steps, ANY_GUIDANCE if backend.full_guidance else backend.guidance_scale


def build_advanced() -> Advanced:
    """A closed box with the settings in it."""
    with closed_box(text.ADVANCED, "advanced"):
        strength = gr.Slider(
            0,
            1.5,
            DEFAULTS.identity_strength,
            step=0.05,
            label=text.STRENGTH_LABEL,
            info=text.STRENGTH_INFO,
        )
        with gr.Row():
            seed = gr.Number(
                0, label=text.SEED_LABEL, precision=0, minimum=0, maximum=MAX_SEED, elem_id="seed"
            )
            new_seed = gr.Checkbox(label=text.RANDOM_SEED_LABEL)
        steps = gr.Slider(
            0,
            100,
            ANY_STEPS,
            step=1,
            label=text.STEPS_LABEL,
            info=text.STEPS_INFO,
            elem_id="steps",
        )
        guidance = gr.Slider(
            0,
            10,
            ANY_GUIDANCE,
            step=0.5,
            label=text.GUIDANCE_LABEL,
            info=text.GUIDANCE_INFO,
            elem_id="guidance",
        )
    return Advanced(
        strength=strength,
        seed=seed,
        new_seed=new_seed,
        steps=steps,
        guidance=guidance,
        suited=gr.State((ANY_STEPS, ANY_GUIDANCE)),
    )
