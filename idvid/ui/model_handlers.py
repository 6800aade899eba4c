"""What happens in the menu of models: look at one, load it, cancel the download."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - Gradio reads annotations
from contextlib import closing
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from idvid.ui import intake, text
from idvid.ui.engine import Wish
from idvid.ui.errors import polite
from idvid.ui.model_menu import (
    busy_updates,
    first_choice,
    idle_updates,
    load_button,
    loaded_updates,
    offer_updates,
    status_html,
)
from idvid.ui.stops import Stops

if TYPE_CHECKING:
    from idvid.pipeline.offers import Offer
    from idvid.ui.engine import Engine
    from idvid.ui.layout import Page
    from idvid.ui.model_menu import ModelMenu

Values = dict[Any, Any]  # component -> its value
Updates = dict[Any, Any]  # component -> new value or properties


class ModelHandlers:
    """The menu's reactions."""

    def __init__(self, page: Page, engine: Engine) -> None:
        self.page, self.menu, self.engine = page, page.form.menu, engine
        self.stops = Stops()

    def greet(self) -> Updates:
        """A new page: what the default model is; its settings too if the form is not made for it."""
        with polite():
            offer = self.engine.offer(Wish(model=first_choice()))
            shown_first = {box: box.value for box in self.page.form.suggestions.boxes}
            is_fit = offer.choice.source is None
            settings = {} if is_fit else suited_updates(self.page, shown_first, offer)
            said = escape(self.engine.about_judge(text.BUNDLED_JUDGE))
            shown = offer_updates(self.menu, offer, has_judge=True)  # the bundled one
            return {**shown, **settings, self.menu.judge_about: said}

    def look(self, values: Values) -> Updates:
        """Another model was chosen: say what it is, and what suits it; once if it is told twice."""
        with polite():
            wish = intake.load_request(values[self.menu.name], {})
            offer = self.engine.offer(wish)
            if offer.fit.options is not None:  # it takes what the controls hold
                wish = self.wish(values)
                offer = self.engine.offer(wish)
            shown, seen = self.shown(offer, values), values[self.menu.seen]
            if seen is not None and seen.model == wish.model:
                return shown
            return {**shown, **suited_updates(self.page, values, offer), self.menu.seen: wish}

    def look_again(self, values: Values) -> Updates:
        """Something was added to the model or taken away: say what that makes of it."""
        with polite():
            wish = self.wish(values)
            if wish == values[self.menu.seen]:  # a box was left as it was
                return {self.menu.seen: wish}
            offer = self.engine.offer(wish)
            advanced, suggestions = self.page.form.advanced, self.page.form.suggestions
            suits = advanced.suit_again(values, offer)
            said = said_of(suits.get(advanced.steps), suits.get(advanced.guidance))
            sent = suggestions.send(values, suits, said=said)
            return {**self.shown(offer, values), **sent, self.menu.seen: wish}

    def look_at_judge(self, values: Values) -> Iterator[Updates]:
        """Another judge was chosen: say its licence, then whether something must be downloaded."""
        with polite():
            wish = self.wish(values)
            yield {self.menu.judge_about: escape(self.engine.about_judge(wish.judge))}
            has_judge = self.engine.has_judge(wish.judge)
            yield {self.menu.load: load_button(self.engine.offer(wish), has_judge=has_judge)}

    def shown(self, offer: Offer, values: Values) -> Updates:
        """A model on the menu, beside the judge that is chosen there."""
        has_judge = self.engine.has_judge(values[self.menu.judge])
        return offer_updates(self.menu, offer, has_judge=has_judge)

    def wish(self, values: Values) -> Wish:
        """What the menu says.

        Raises:
            InputError: something in it breaks a rule.
        """
        return intake.load_request(values[self.menu.name], self.menu.options(values))

    def load(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """Fetch a model if need be, and load it."""
        with polite():
            wish = self.wish(values)
            self.stops.begin(request.session_hash)
            stopped = self.stops.flag(request.session_hash).is_set
            with closing(self.engine.bring(wish)) as steps:
                for said in steps:
                    yield busy_updates(self.menu, *said)
                    if stopped():
                        yield idle_updates(self.menu, text.LOAD_CANCELLED)
                        return
            offer = self.engine.offer(wish)
            yield {
                **loaded_updates(self.menu, offer),
                self.page.model_state: status_html(self.engine.state),
            }

    def cancel(self, request: gr.Request) -> None:
        """End this page's download."""
        self.stops.stop(request.session_hash)

    def failed(self) -> Updates:
        """After an error: the button as before."""
        return idle_updates(self.menu, text.LOAD_FAILED)


def suited_updates(page: Page, before: Values, offer: Offer) -> Updates:
    """Steps, guidance and methods as they suit a model; `before` is what they were."""
    form, methods = page.form, offer.fit.backend.methods
    default = [method for method in text.DEFAULT_METHODS if method in methods]
    suits = {**form.advanced.suit(offer), form.methods: default}
    labelled = [(text.METHOD_LABELS[method], method) for method in methods]
    return {
        form.methods: gr.CheckboxGroup(labelled),
        **form.suggestions.send(before, suits, methods),
    }


def said_of(steps: int | None, guidance: float | None) -> list[list[str]]:
    """HTML of what was set, by whether steps, then whether guidance were; empty for neither."""
    return [
        [status_html(said) if (said := text.suited(each, own)) else "" for own in (None, guidance)]
        for each in (None, steps)
    ]


def described(page: Page) -> list[Any]:
    """Everything that changes when a model is looked at."""
    menu, form = page.form.menu, page.form
    return [*offered(menu), menu.judge_about, form.methods, *suited_outputs(page)]


def suited_outputs(page: Page) -> list[Any]:
    """Where it goes what suits a model; the letter last, for it is about the others."""
    return [page.form.advanced.suited, page.form.suggestions.letter]


def offered(menu: ModelMenu) -> list[Any]:
    """Everything that says what a model is and needs."""
    controls = menu.controls
    parts = [controls.box, controls.ending, *controls.of_model.values()]
    return [menu.facts, menu.status, menu.load, menu.seen, *parts]


def wire_models(handlers: ModelHandlers, quiet: dict[str, Any]) -> None:
    """Connect the menu's events; none of them is part of the API."""
    menu, shown = handlers.menu, described(handlers.page)
    progress = [menu.facts, menu.status, menu.load, menu.cancel, handlers.page.model_state]
    form, controls = handlers.page.form, menu.controls
    asked = {*menu.inputs(), menu.seen, *form.suggestions.boxes, form.advanced.suited}
    form.suggestions.wire(quiet)
    menu.name.change(handlers.look, asked, shown, **quiet)
    boxes = controls.lora, controls.adapter
    choices = controls.lora_kind, controls.cache, controls.compiled, controls.quantise
    # One event for all, and the latest kept: answers to several would arrive in any order, and one
    # that comes while another is under way would be dropped.
    gr.on(
        [
            *(on for box in boxes for on in (box.blur, box.submit)),
            *(part.input for part in choices),
        ],
        handlers.look_again,
        asked,
        [*offered(menu), *suited_outputs(handlers.page)],
        trigger_mode="always_last",
        **quiet,
    )
    about = [menu.judge_about, menu.load]
    menu.judge.input(
        handlers.look_at_judge, menu.inputs(), about, trigger_mode="always_last", **quiet
    )
    loading = menu.load.click(
        handlers.load,
        menu.inputs(),
        progress,
        concurrency_id="load",
        concurrency_limit=2,
        trigger_mode="once",
        **quiet,
    )
    loading.failure(handlers.failed, None, progress, **quiet)
    menu.cancel.click(handlers.cancel, None, None, queue=False, **quiet)
