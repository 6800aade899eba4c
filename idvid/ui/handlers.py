"""What happens on every click.

Each handler reads named components, calls one thing and returns named updates.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator  # noqa: TC003 - Gradio reads annotations
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from idvid.config import MAX_CHARACTERS, MAX_PHOTOS, MAX_SEED
from idvid.errors import IdvidError
from idvid.media.image import read_image, shown_name
from idvid.ui import intake, text
from idvid.ui.characters import as_upload, fill_slots, raw_characters, show_tabs
from idvid.ui.errors import polite
from idvid.ui.layout import notes_html
from idvid.ui.model_handlers import ModelHandlers, wire_models
from idvid.ui.model_menu import status_html
from idvid.ui.outputs import RunView, begin_updates, button_updates
from idvid.ui.runs import run
from idvid.ui.stops import Stops

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from idvid.types import Scene
    from idvid.ui.engine import Engine
    from idvid.ui.layout import Page

Values = dict[Any, Any]  # component -> its value
Updates = dict[Any, Any]  # component -> new value or properties


class Handlers:
    """The page's reactions."""

    def __init__(self, page: Page, engine: Engine, scenes: tuple[Scene, ...]) -> None:
        self.page, self.engine, self.scenes = page, engine, scenes
        self.stops = Stops()
        self.models = ModelHandlers(page, engine)

    def add_character(self, shown: int) -> Updates:
        """Show one more slot."""
        shown = min(MAX_CHARACTERS, shown + 1)
        return {self.page.form.shown: shown, **show_tabs(self.page.form.slots, shown)}

    def remove_character(self, shown: int) -> Updates:
        """Hide the last slot; what it holds is not used while hidden."""
        shown = max(1, shown - 1)
        return {self.page.form.shown: shown, **show_tabs(self.page.form.slots, shown)}

    def fill_example(self, number: int) -> Updates:
        """Put an example scene into the form."""
        form, scene = self.page.form, self.scenes[number]
        return {
            form.shown: max(2, len(scene.characters)),
            form.prompt: scene.prompt,
            form.seconds: scene.seconds,
            form.advanced.seed: scene.seed,
            **fill_slots(form.slots, scene.characters),
        }

    def model_state(self) -> tuple[str, gr.Timer]:
        """The state of the models; the clock stops when they are there."""
        return status_html(self.engine.state), gr.Timer(active=self.engine.is_starting)

    def check(self, values: Values) -> Updates:
        """Say what the face check finds on the photos."""
        with polite():
            form = self.page.form
            cast = intake.cast(raw_characters(form.slots, values, values[form.shown]))
            findings = self.engine.check(cast).findings
            return {self.page.notes: gr.HTML(notes_html(findings, ""), visible=True)}

    def begin(self, values: Values, request: gr.Request) -> Updates:
        """Refuse a wrong form at once, before it waits for a place; else clear the screens."""
        with polite():
            form = self.page.form
            seed = (
                secrets.randbelow(MAX_SEED + 1)
                if values[form.advanced.new_seed]
                else values[form.advanced.seed]
            )
            asked = intake.run_request(self.raw_request({**values, form.advanced.seed: seed}))
            self.engine.require_here(asked.wish)
            self.stops.begin(request.session_hash)
            drawn = {form.advanced.seed: seed} if values[form.advanced.new_seed] else {}
            return {**drawn, **begin_updates(self.page, asked)}

    def generate(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """Make the video(s) and measure them while they come."""
        with polite(), tempfile.TemporaryDirectory(prefix="idvid-") as folder:
            asked = intake.run_request(self.raw_request(values))
            view = RunView(self.page, asked)
            stopped = self.stops.flag(request.session_hash).is_set
            for event in run(asked, self.engine, Path(folder), stopped):
                yield view.show(event)

    def stop(self, request: gr.Request) -> Updates:
        """Ask the run to end; it finishes its files and keeps what is there."""
        self.stops.stop(request.session_hash)
        form = self.page.form
        return {
            form.stop: gr.Button(interactive=False),
            self.page.status: status_html(text.STOPPING),
        }

    def failed(self) -> Updates:
        """After an error: the buttons as before."""
        return {
            **button_updates(self.page, running=False),
            self.page.status: status_html(text.FAILED),
        }

    def leave(self, request: gr.Request) -> None:
        """The page is closed."""
        self.stops.forget(request.session_hash)
        self.models.stops.forget(request.session_hash)

    def raw_request(self, values: Values) -> dict[str, Any]:
        """The form as the API would send it."""
        form, menu = self.page.form, self.page.form.menu
        ending = values[menu.controls.ending]
        return {
            "prompt": values[form.prompt] or "",
            "characters": raw_characters(form.slots, values, values[form.shown]),
            "seconds": values[form.seconds],
            "seed": values[form.advanced.seed],
            "methods": values[form.methods],
            "settings": {
                "identity_strength": values[form.advanced.strength],
                **form.advanced.chosen(values),
                "model": intake.model_name(values[menu.name]),
                "extend": as_upload(ending) if ending else None,
                **menu.options(values),
            },
        }


def normalise(gallery: list[tuple[str, str | None]] | None) -> list[NDArray[np.uint8]]:
    """Replace what was uploaded by what the model will see; warn about what was left out."""
    with polite():
        read = [readable(path) for path, _ in gallery or []]
        good = [picture for picture in read if picture is not None]
        if len(good) > MAX_PHOTOS:
            gr.Warning(text.TOO_MANY_PHOTOS)
        return good[:MAX_PHOTOS]


def readable(path: str) -> NDArray[np.uint8] | None:
    """A stored upload's pixels, (H, W, 3) RGB; None, with a warning, if there are none."""
    try:
        return read_image(intake.stored_upload(path), shown_name(path))
    except IdvidError as error:
        gr.Warning(str(error))
        return None


def wire(handlers: Handlers) -> None:
    """Connect the components' events; none of them is part of the API."""
    page, form = handlers.page, handlers.page.form
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    tabs = [form.shown, *(slot.tab for slot in form.slots)]
    form.add.click(handlers.add_character, form.shown, tabs, **quiet)
    form.remove.click(handlers.remove_character, form.shown, tabs, **quiet)
    page.clock.tick(handlers.model_state, None, [page.model_state, page.clock], **quiet)
    for slot in form.slots:
        slot.photos.upload(
            normalise, slot.photos, slot.photos, api_visibility="private", show_progress="minimal"
        )
    wire_models(handlers.models, quiet)
    wire_examples(handlers, tabs, quiet)
    wire_run(handlers, quiet)


def wire_examples(handlers: Handlers, tabs: list[Any], quiet: dict[str, Any]) -> None:
    """Each example button fills the whole form."""
    form = handlers.page.form
    filled = [part for s in form.slots for part in (s.name, s.photos, s.description)]
    outputs = [*tabs, form.prompt, form.seconds, form.advanced.seed, *filled]
    for number, button in enumerate(form.examples):
        button.click(partial(handlers.fill_example, number), None, outputs, **quiet)


def wire_run(handlers: Handlers, quiet: dict[str, Any]) -> None:
    """Check, Generate, Stop, and the end of a page."""
    page, form = handlers.page, handlers.page.form
    inputs = form.inputs()
    screens = [part for screen in page.screens for part in screen.parts()]
    said = [page.model_state, page.status, page.notes, page.judge]
    compared = [page.comparison, page.comparison_file]
    outputs = [form.go, form.stop, form.advanced.seed, *said, *screens, *compared]
    form.check.click(
        handlers.check, inputs, page.notes, api_visibility="private", show_progress_on=page.status
    )
    begun = form.go.click(handlers.begin, inputs, outputs, **quiet)  # errors need the queue
    made = begun.success(
        handlers.generate,
        inputs,
        outputs,
        api_visibility="private",
        concurrency_id="gpu",
        concurrency_limit=1,
        show_progress="minimal",
        show_progress_on=page.status,
        trigger_mode="once",
    )
    reset = [form.go, form.stop, page.status]
    made.failure(handlers.failed, None, reset, **quiet)
    form.stop.click(handlers.stop, None, [form.stop, page.status], queue=False, **quiet)
