"""What a model suggests reaches a box only where the user has not been meanwhile."""

from pathlib import Path

import gradio as gr
import pytest

from idvid.config import VACE_GUIDANCE, GenerationSettings
from idvid.pipeline.vace_options import METHODS
from idvid.ui import intake
from idvid.ui.handlers import Handlers
from idvid.ui.layout import build_page
from idvid.ui.model_handlers import ModelHandlers, said_of
from idvid.ui.runs import RunRequest
from idvid.ui.suggestions import SCRIPT

BOTH, ONE = ["none", "locks"], ["context"]
SAID = [["", "guidance"], ["steps", "both"]]


@pytest.fixture(scope="module")
def opened(browser):
    """Runs the script as the page does: what it writes into each box, KEPT where nothing."""
    page = browser.new_page()

    def run(letter, *shown):
        updates = page.evaluate(f"(args) => ({SCRIPT.read_text()})(...args)", [letter, *shown])
        return ["KEPT" if update == {"__type__": "update"} else update for update in updates]

    yield run
    page.close()


def letter(was, now, said=SAID):
    return {"at": 1, "was": was, "now": now, "methods": BOTH, "said": said}


def status(said):
    return {"__type__": "update", "value": said, "visible": said != ""}


@pytest.mark.parametrize(
    ("shown", "written"),
    [
        ((0, 5, BOTH), [4, 1, BOTH, status("both")]),
        ((4, 1, BOTH), [4, 1, BOTH, status("both")]),  # a second letter about the same
        ((7, 5, BOTH), ["KEPT", 1, BOTH, status("guidance")]),
        ((0, 3, ["none"]), [4, "KEPT", "KEPT", status("steps")]),
        ((7, 3, ["locks"]), ["KEPT", "KEPT", "KEPT", status("")]),
        ((7, 3, ONE), ["KEPT", "KEPT", BOTH, status("")]),  # which the model does not have
    ],
)
def test_a_box_that_was_changed_is_kept(opened, shown, written):
    assert opened(letter(was=[0, 5.0, BOTH], now=[4, 1.0, BOTH]), *shown) == written


def test_what_is_not_suggested_stays(opened):
    assert opened(None, 0, 5, BOTH) == ["KEPT"] * 4
    only_guidance = letter(was=[0, 5.0, BOTH], now=[None, 1.0, None])
    assert opened(only_guidance, 0, 5, BOTH) == ["KEPT", 1, "KEPT", status("guidance")]


def test_the_sentence_says_what_was_set():
    (neither, guidance), (steps, both) = said_of(4, 1.0)
    assert neither == ""
    assert "Set guidance to 1;" in guidance
    assert "Set steps to 4;" in steps
    assert "Set steps to 4 and guidance to 1;" in both
    assert said_of(None, None) == [["", ""], ["", ""]]


@pytest.fixture
def page():
    with gr.Blocks():
        return build_page([])


def test_a_page_that_opens_with_another_model_gets_a_letter_too(page, engine, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("idvid.ui.model_handlers.first_choice", lambda: "vace-1.3b")
    updates = ModelHandlers(page, engine).greet()
    boxes = page.form.suggestions.boxes
    sent = updates[page.form.suggestions.letter]
    assert sent["was"] == [box.value for box in boxes]
    assert sent["now"][:2] == [0, VACE_GUIDANCE]
    assert sent["methods"] == METHODS
    assert not {*boxes[:2]} & {*updates}, "nothing goes into them directly"


@pytest.mark.parametrize("drawn", [True, False])
def test_a_run_writes_the_seed_only_where_it_was_drawn(page, engine, scene, monkeypatch, drawn):
    form = page.form
    values = {part: part.value for part in form.inputs()}
    slot, seed = form.slots[0], form.advanced.seed
    values |= {slot.name: "Ana", slot.photos: [(str(Path("ana.png")), None)]}
    values |= {form.advanced.new_seed: drawn}
    asked = RunRequest(scene=scene, settings=(GenerationSettings(method="none"),), num_steps=1)
    monkeypatch.setattr(intake, "run_request", lambda _: asked)
    updates = Handlers(page, engine, ()).begin(values, gr.Request(session_hash="page"))
    assert (seed in updates) == drawn
