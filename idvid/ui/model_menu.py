"""The menu of models: which makes the video, what it is and needs, and the button that loads it.

Owns its components and what they show. Nothing is fetched or loaded but by the button.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from idvid.pipeline.choosing import BUNDLED, DEFAULT, MENU
from idvid.runtime import asked_model
from idvid.ui import text
from idvid.ui.boxes import closed_box
from idvid.ui.vace_controls import VaceControls, build_controls, control_updates

if TYPE_CHECKING:
    from idvid.pipeline.offers import Offer

Updates = dict[Any, Any]  # component -> new value or properties


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMenu:
    """The components."""

    name: gr.Dropdown
    facts: gr.HTML
    status: gr.HTML
    controls: VaceControls
    judge: gr.Dropdown
    judge_about: gr.HTML
    load: gr.Button
    cancel: gr.Button
    seen: gr.State  # the wish that was last looked at

    def inputs(self) -> set[Any]:
        """Every component that says what is to be loaded."""
        return {self.name, self.judge, *self.controls.of_model.values()}

    def options(self, values: dict[Any, Any]) -> dict[str, Any]:
        """What the model is to be loaded with, as the API would send it."""
        return {"judge": values[self.judge], **self.controls.options(values)}


def build_menu() -> ModelMenu:
    """A closed box with the menu in it."""
    with closed_box(text.MODEL, "model"):
        name = gr.Dropdown(
            entries(),
            value=first_choice(),
            label=text.MODEL_LABEL,
            info=text.MODEL_INFO,
            allow_custom_value=True,
            elem_id="model-name",
        )
        facts = gr.HTML(elem_id="model-facts", padding=False)
        controls = build_controls()
        judge = gr.Dropdown(
            [(label, key) for key, label in text.JUDGE_LABELS.items()],
            value=text.BUNDLED_JUDGE,
            label=text.JUDGE_LABEL,
            info=text.JUDGE_INFO,
            elem_id="judge",
        )
        judge_about = gr.HTML(elem_id="judge-about", padding=False)
        status = gr.HTML(visible=False, elem_id="model-status", padding=False)
        with gr.Row():
            load = gr.Button(text.LOAD, size="sm", interactive=False, elem_id="load")
            cancel = gr.Button(text.CANCEL_LOAD, size="sm", visible=False, elem_id="cancel-load")
    return ModelMenu(
        name=name,
        facts=facts,
        status=status,
        controls=controls,
        judge=judge,
        judge_about=judge_about,
        load=load,
        cancel=cancel,
        seen=gr.State(),
    )


def first_choice() -> str:
    """What the menu shows at first: what IDVID_MODEL says, by its name on the menu if it has one."""
    asked = asked_model() or BUNDLED
    return asked if asked in MENU else DEFAULT


def entries() -> list[tuple[str, str]]:
    """Label and name of every entry; a folder of the server shows its last name alone."""
    known = [(text.MODEL_LABELS[name], name) for name in MENU]
    if first_choice() in MENU:
        return known
    title = (asked_model() or "").rstrip("/").rpartition("/")[2]
    return [(text.default_model(title), DEFAULT), *known]


def status_html(message: str, share: float | None = None) -> str:
    """A sentence, read out by screen readers, and a bar if a share of 0..1 is known."""
    bar = "" if share is None else f"<div class='bar'><div style='width:{share:.1%}'></div></div>"
    return f"<div role='status' aria-live='polite'>{escape(message)}</div>{bar}"


def facts_html(offer: Offer) -> str:
    """Licence, download, limits and plan as a list of terms."""
    rows = (f"<dt>{escape(word)}</dt><dd>{escape(said)}</dd>" for word, said in offer.facts)
    return f"<dl class='facts'>{''.join(rows)}</dl>"


def load_button(offer: Offer, *, has_judge: bool) -> gr.Button:
    """It says whether something would be downloaded: model, what is added to it, or judge."""
    is_here = offer.missing_bytes == 0 and has_judge
    label = text.LOAD if is_here else text.LOAD_FETCHED
    return gr.Button(label, interactive=not offer.fit.problem)


def offer_updates(menu: ModelMenu, offer: Offer, *, has_judge: bool) -> Updates:
    """Show a model; `has_judge` tells whether the chosen judge is on this machine."""
    return {
        menu.facts: facts_html(offer),
        **control_updates(menu.controls, offer),
        menu.load: load_button(offer, has_judge=has_judge),
    }


def busy_updates(menu: ModelMenu, message: str, share: float | None) -> Updates:
    """While a model is fetched and loaded; `share` of the download, 0..1, is here."""
    return {
        menu.status: gr.HTML(status_html(message, share), visible=True),
        menu.load: gr.Button(interactive=False),
        menu.cancel: gr.Button(visible=True),
    }


def idle_updates(menu: ModelMenu, message: str) -> Updates:
    """When that is over, however it ended."""
    return {
        menu.status: gr.HTML(status_html(message), visible=True),
        menu.load: gr.Button(interactive=True),
        menu.cancel: gr.Button(visible=False),
    }


def loaded_updates(menu: ModelMenu, offer: Offer) -> Updates:
    """When a model is in memory."""
    return {
        **idle_updates(menu, text.ready(offer.choice.title, "", None)),
        menu.facts: facts_html(offer),
        menu.load: gr.Button(text.LOAD, interactive=True),
    }
