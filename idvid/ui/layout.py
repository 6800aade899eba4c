"""What stands where on the page. Owns the components; knows no event and no model."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from idvid.config import (
    MAX_PROMPT_LENGTH,
    MAX_SECONDS,
    METHODS,
    MIN_SECONDS,
)
from idvid.ui import text
from idvid.ui.advanced import Advanced, build_advanced
from idvid.ui.characters import VISIBLE_AT_FIRST, Slot, build_slots
from idvid.ui.drift_panel import comparison_panel, drift_panel
from idvid.ui.model_menu import ModelMenu, build_menu, status_html
from idvid.ui.streaming import StreamingVideo
from idvid.ui.suggestions import Suggestions, build_suggestions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradio.blocks import BlockContext
    from gradio.components import Component

    from idvid.faces.quality import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The left side: what the user says."""

    menu: ModelMenu
    slots: tuple[Slot, ...]
    shown: gr.State  # number of visible slots
    add: gr.Button
    remove: gr.Button
    prompt: gr.Textbox
    seconds: gr.Slider
    methods: gr.CheckboxGroup
    advanced: Advanced
    suggestions: Suggestions
    check: gr.Button
    go: gr.Button
    stop: gr.Button
    examples: tuple[gr.Button, ...]

    def inputs(self) -> set[Any]:
        """Every component that a run reads."""
        of_slots: set[Component] = {
            part for s in self.slots for part in (s.name, s.photos, s.description)
        }
        ending = self.menu.controls.ending
        scene = {ending, self.shown, self.prompt, self.seconds, self.methods}
        return self.menu.inputs() | self.advanced.inputs() | scene | of_slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """One method's column."""

    box: gr.Column
    heading: gr.Markdown
    live: StreamingVideo
    video: gr.Video
    panel: gr.HTML
    file_row: gr.Row
    files: tuple[gr.DownloadButton, ...]  # report, curves, figure

    def parts(self) -> list[Component | BlockContext]:
        """Everything that a run may change."""
        video = [self.live, self.video, self.panel]
        return [self.box, self.heading, *video, self.file_row, *self.files]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All components by name."""

    form: Form
    model_state: gr.HTML
    clock: gr.Timer
    status: gr.HTML
    notes: gr.HTML
    judge: gr.HTML  # who measured, under the drift panels
    screens: tuple[Screen, Screen]
    comparison: gr.HTML  # the methods' curves over each other
    comparison_file: gr.DownloadButton


def build_page(example_titles: Sequence[str]) -> Page:
    """Lay out the page inside the current `gr.Blocks`."""
    gr.Markdown(text.INTRO, elem_id="intro")
    model_state = gr.HTML(status_html(text.LOADING), elem_id="model-state")
    clock = gr.Timer(1.0)
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            form = build_form(example_titles)
        with gr.Column(scale=8, min_width=320):
            status = gr.HTML(status_html(text.IDLE), elem_id="status", container=True, padding=True)
            notes = gr.HTML(visible=False, elem_id="notes", container=True, padding=True)
            with gr.Row():
                screens = (build_screen(1), build_screen(2))
            judge = gr.HTML(visible=False, elem_id="judge-note", padding=False)
            comparison = comparison_panel()
            comparison_file = gr.DownloadButton(
                text.COMPARISON_FILE, size="sm", visible=False, elem_id="comparison-file"
            )
    gr.Markdown(text.CONSENT, elem_id="consent")
    return Page(
        form=form,
        model_state=model_state,
        clock=clock,
        status=status,
        notes=notes,
        judge=judge,
        screens=screens,
        comparison=comparison,
        comparison_file=comparison_file,
    )


def build_form(example_titles: Sequence[str]) -> Form:
    """The left side."""
    menu = build_menu()
    examples = build_examples(example_titles)
    slots = build_slots()
    shown = gr.State(VISIBLE_AT_FIRST)
    with gr.Row():
        add = gr.Button(text.ADD_CHARACTER, size="sm", elem_id="add")
        remove = gr.Button(text.REMOVE_CHARACTER, size="sm", elem_id="remove")
        check = gr.Button(text.CHECK, size="sm", elem_id="check")
    prompt = gr.Textbox(
        label=text.PROMPT_LABEL,
        info=text.PROMPT_INFO,
        placeholder=text.PROMPT_PLACEHOLDER,
        lines=3,
        max_length=MAX_PROMPT_LENGTH,
        elem_id="prompt",
    )
    seconds = gr.Slider(
        MIN_SECONDS, MAX_SECONDS, 4, step=1, label=text.SECONDS_LABEL, elem_id="seconds"
    )
    methods = gr.CheckboxGroup(
        [(text.METHOD_LABELS[method], method) for method in METHODS],
        value=list(text.DEFAULT_METHODS),
        label=text.METHODS_LABEL,
        elem_id="methods",
    )
    advanced = build_advanced()
    suggestions = build_suggestions(advanced.steps, advanced.guidance, methods, menu.status)
    with gr.Row():
        go = gr.Button(text.GENERATE, variant="primary", elem_id="go")
        stop = gr.Button(text.STOP, variant="stop", interactive=False, elem_id="stop")
    return Form(
        menu=menu,
        slots=slots,
        shown=shown,
        add=add,
        remove=remove,
        prompt=prompt,
        seconds=seconds,
        methods=methods,
        advanced=advanced,
        suggestions=suggestions,
        check=check,
        go=go,
        stop=stop,
        examples=examples,
    )


def build_examples(titles: Sequence[str]) -> tuple[gr.Button, ...]:
    """A button for every example scene."""
    if not titles:
        return ()
    gr.Markdown(text.EXAMPLES, elem_id="examples-hint")
    with gr.Row(elem_id="examples"):
        return tuple(gr.Button(title, size="sm", min_width=120) for title in titles)


def build_screen(number: int) -> Screen:
    """One method's column: live video, finished video, drift panel, files."""
    method = text.DEFAULT_METHODS[number - 1]
    with gr.Column(min_width=300) as box:
        heading = gr.Markdown(heading_text(method), elem_id=f"method{number}")
        live = StreamingVideo(
            label=f"Live, video {number}",
            streaming=True,
            autoplay=True,
            interactive=False,
            show_label=False,
            height=260,
            elem_id=f"live{number}",
        )
        video = gr.Video(
            label=f"Video {number}",
            visible=False,
            autoplay=True,
            loop=True,
            interactive=False,
            buttons=["download"],
            show_label=False,
            height=260,
            elem_id=f"video{number}",
        )
        panel = drift_panel(number)
        with gr.Row(visible=False, elem_id=f"files{number}") as file_row:
            files = tuple(
                gr.DownloadButton(label, size="sm", min_width=90) for label in text.FILE_LABELS
            )
    return Screen(
        box=box,
        heading=heading,
        live=live,
        video=video,
        panel=panel,
        file_row=file_row,
        files=files,
    )


def heading_text(method: str) -> str:
    """A column's title."""
    return f"### {text.METHOD_LABELS[method]}"


def notes_html(findings: Sequence[Finding], words: str) -> str:
    """The face check's sentences, the gravest first, and the unknown words, as a list."""
    graveness = ("refused", "warning", "note")
    ordered = sorted(findings, key=lambda finding: graveness.index(finding.severity))
    items = [f"<li class='{each.severity}'>{escape(each.message)}</li>" for each in ordered]
    items = items or [f"<li>{text.ALL_PHOTOS_FIT}</li>"]
    return f"<ul>{''.join(items)}{f'<li>{escape(words)}</li>' if words else ''}</ul>"
