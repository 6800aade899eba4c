"""Which steps and guidance a run is asked for: what suits the model unless somebody chose."""

from __future__ import annotations

from dataclasses import replace

import gradio as gr
import pytest

from idvid.config import DEFAULTS, LORA_GUIDANCE, LORA_STEPS, VACE_GUIDANCE
from idvid.pipeline.choosing import Choice, choose
from idvid.pipeline.extras import NOTHING_ADDED, named_extras
from idvid.pipeline.kinds import VACE_KIND
from idvid.pipeline.offers import Fit, Offer, describe, fit_here
from idvid.pipeline.vace_options import VaceOptions
from idvid.runtime import GIB, Machine
from idvid.ui.advanced import build_advanced
from idvid.ui.intake import SettingsRequest

LORA = named_extras(lora="owner/name-4step", is_public=True)
STYLE = named_extras(lora="owner/ghibli", is_public=True)


def test_no_number_is_no_choice():
    chosen = SettingsRequest.model_validate({}).model_dump(exclude_none=True)
    assert "num_steps" not in chosen
    assert chosen["few_steps"] == DEFAULTS.few_steps


@pytest.mark.parametrize("few", [True, False])
def test_a_number_is_kept_and_the_fast_model_can_be_kept_out(few):
    asked = {"num_steps": 4, "few_steps": few}
    chosen = SettingsRequest.model_validate(asked).model_dump(exclude_none=True)
    assert (chosen["num_steps"], chosen["few_steps"]) == (4, few)


class Form:
    """The advanced settings of a page, without the page."""

    def __init__(self):
        with gr.Blocks():
            self.parts = build_advanced()
        self.values = {part: part.value for part in self.parts.inputs()}
        self.choose_model()

    def choose_model(self, extras=NOTHING_ADDED):
        self.values |= self.parts.suit(offer(extras))

    def add(self, extras):
        self.values |= self.parts.suit_again(self.values, offer(extras))

    def choose(self, *, steps=None, guidance=None):
        chosen = {self.parts.steps: steps, self.parts.guidance: guidance}
        self.values |= {part: value for part, value in chosen.items() if value is not None}

    @property
    def shown(self):
        return self.values[self.parts.steps], self.values[self.parts.guidance]

    @property
    def asked(self):
        return tuple(self.parts.chosen(self.values).values())


def offer(extras) -> Offer:
    options = extras.options(VaceOptions())
    fit = Fit(kind=VACE_KIND, backend=options.backend(), pass_frames=81, options=options, plan=None)
    choice = Choice(name="vace-1.3b", source=None, extras=extras)
    return Offer(choice=choice, fit=fit, licence="", total_bytes=0, missing_bytes=0)


def bundled() -> Offer:
    choice = choose("bundled", lambda: None)
    return describe(choice, fit_here(choice, Machine(gpu_free=(), ram_free=GIB), None))


def test_a_few_step_lora_sets_both_and_without_it_they_are_as_before():
    form = Form()
    for extras, shown in (
        (NOTHING_ADDED, (0, VACE_GUIDANCE)),
        (LORA, (LORA_STEPS, LORA_GUIDANCE)),
        (NOTHING_ADDED, (0, VACE_GUIDANCE)),
        (STYLE, (0, VACE_GUIDANCE)),
        (replace(STYLE, lora_kind="few-step"), (LORA_STEPS, LORA_GUIDANCE)),
        (replace(LORA, lora_kind="style"), (0, VACE_GUIDANCE)),
    ):
        form.add(extras)
        assert form.shown == shown
        assert form.asked == (None, None), "nobody chose"


def test_what_the_user_chose_before_the_lora_stays():
    form = Form()
    form.choose(steps=12)
    form.add(LORA)
    assert form.shown == (12, LORA_GUIDANCE)
    assert form.asked == (12, None)
    form.add(NOTHING_ADDED)
    assert form.shown == (12, VACE_GUIDANCE)


def test_what_the_user_chose_for_the_lora_stays_when_something_else_changes():
    """Even where it is what the model alone would have."""
    form = Form()
    form.add(LORA)
    form.choose(guidance=VACE_GUIDANCE)
    form.add(replace(LORA, cache="taylorseer"))
    assert form.shown == (LORA_STEPS, VACE_GUIDANCE)
    assert form.asked == (None, VACE_GUIDANCE)


def test_steps_and_guidance_of_the_bundled_model_are_left_to_it_until_somebody_chooses():
    form = Form()
    form.values |= form.parts.suit(bundled())
    assert form.shown == (0, 0)
    assert form.asked == (None, None)
    form.choose(steps=12)
    assert form.asked == (12, None)  # and so the guidance that suits twelve steps
    form.choose(guidance=1.0)
    assert form.asked == (12, 1.0), "none is a choice too"


def test_another_model_sets_both_again():
    form = Form()
    form.choose(steps=12, guidance=3.0)
    form.choose_model(LORA)
    assert form.shown == (LORA_STEPS, LORA_GUIDANCE)
    assert form.asked == (None, None)
