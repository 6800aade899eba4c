"""From a run's events to updates of the page's components. Owns what is visible when."""

from __future__ import annotations

from functools import singledispatchmethod
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from idvid.ui import text
from idvid.ui.drift_panel import EMPTY, comparison_value, panel_value
from idvid.ui.layout import heading_text, notes_html
from idvid.ui.model_menu import status_html
from idvid.ui.runs import (
    Checked,
    Chunk,
    Compared,
    Ended,
    Finished,
    Measured,
    Progress,
    Replanned,
    Waiting,
)

if TYPE_CHECKING:
    from idvid.ui.layout import Page
    from idvid.ui.runs import Event, RunRequest

Updates = dict[Any, Any]  # component -> new value or properties


class RunView:
    """What one run's events change on the page."""

    def __init__(self, page: Page, request: RunRequest) -> None:
        self.page = page
        methods = [settings.method for settings in request.settings]
        self.screens = dict(zip(methods, page.screens, strict=False))
        self.seconds = request.scene.seconds

    @singledispatchmethod
    def show(self, event: Event) -> Updates:
        """The updates for one event; registered per type below."""
        raise TypeError(event)

    @show.register(Waiting)
    def _(self, event: Waiting) -> Updates:
        return {self.page.status: status_html(event.message)}

    @show.register(Checked)
    def _(self, event: Checked) -> Updates:
        words = text.unknown_words(event.unknown_words)
        return {
            self.page.notes: gr.HTML(notes_html(event.findings, words), visible=True),
            self.page.judge: gr.HTML(escape(event.judge), visible=True),
            self.page.status: status_html(text.STARTED),
        }

    @show.register(Replanned)
    def _(self, event: Replanned) -> Updates:
        said = status_html(event.message)
        return {self.page.status: said, self.page.model_state: said}  # one is overwritten soon

    @show.register(Progress)
    def _(self, event: Progress) -> Updates:
        message = text.progress(event.done, event.total, event.seconds_left)
        return {self.page.status: status_html(message, event.done / event.total)}

    @show.register(Chunk)
    def _(self, event: Chunk) -> Updates:
        return {self.screens[event.method].live: str(event.path)}

    @show.register(Measured)
    def _(self, event: Measured) -> Updates:
        return {self.screens[event.method].panel: panel_value(event.report, self.seconds)}

    @show.register(Finished)
    def _(self, event: Finished) -> Updates:
        screen = self.screens[event.method]
        files = zip(screen.files, event.files, strict=True)
        return {
            screen.live: gr.Video(visible=False),
            screen.video: gr.Video(str(event.video), visible=True),
            screen.panel: panel_value(event.report, self.seconds),
            screen.file_row: gr.Row(visible=True),
            **{button: gr.DownloadButton(value=str(path)) for button, path in files},
        }

    @show.register(Compared)
    def _(self, event: Compared) -> Updates:
        value = comparison_value(event.reports, self.seconds)
        return {
            self.page.comparison: gr.HTML(value, visible=True),
            self.page.comparison_file: gr.DownloadButton(value=str(event.figure), visible=True),
        }

    @show.register(Ended)
    def _(self, event: Ended) -> Updates:
        done = {self.page.status: status_html(event.message)}
        return {**done, **button_updates(self.page, running=False)}


def button_updates(page: Page, *, running: bool) -> Updates:
    """Generate while idle, Stop while running."""
    return {
        page.form.go: gr.Button(interactive=not running),
        page.form.stop: gr.Button(interactive=running),
    }


def begin_updates(page: Page, request: RunRequest) -> Updates:
    """Empty screens, one per method."""
    updates: Updates = {
        page.status: status_html(text.QUEUED),
        page.notes: gr.HTML(visible=False),
        page.judge: gr.HTML(visible=False),
        page.comparison: gr.HTML(EMPTY, visible=False),
        page.comparison_file: gr.DownloadButton(visible=False),
        **button_updates(page, running=True),
    }
    for i, screen in enumerate(page.screens):
        used = i < len(request.settings)
        updates[screen.box] = gr.Column(visible=used)
        if used:
            updates[screen.heading] = heading_text(request.settings[i].method)
        updates[screen.live] = gr.Video(visible=True)
        updates[screen.video] = gr.Video(None, visible=False)
        updates[screen.panel] = EMPTY
        updates[screen.file_row] = gr.Row(visible=False)
    return updates
