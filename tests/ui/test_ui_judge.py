"""Who measures: the bundled face network or a pack, each with its licence on the page and in the API."""

import gradio as gr
import pytest
from tiny_packs import save_recogniser

from idvid.config import VACE_GUIDANCE, GenerationSettings
from idvid.errors import InputError
from idvid.faces.pack_choice import UNKNOWN
from idvid.hub import card_of
from idvid.ui import text
from idvid.ui.engine import Wish
from idvid.ui.layout import build_page
from idvid.ui.model_handlers import ModelHandlers
from idvid.ui.public_events import public_event
from idvid.ui.runs import Checked, Finished, RunRequest, run


def ask(scene, judge) -> RunRequest:
    settings = (GenerationSettings(method="none"),)
    return RunRequest(scene=scene, settings=settings, num_steps=1, wish=Wish(judge=judge))


def never() -> bool:
    return False


def only(kind, events):
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def put_a_pack(cache, name):
    """A tiny recogniser where the Hub's client would keep that of a pack."""
    ref = card_of(name).ref
    folder = cache / f"models--{ref.repo.replace('/', '--')}" / "snapshots" / ref.revision
    folder.mkdir(parents=True)
    save_recogniser(folder / ref.files[0])


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty cache of the Hub, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def test_a_face_pack_measures_and_its_notice_is_shown(hub_cache, engine, scene, tmp_path):
    """Its bytes are nobody's, whatever its name says, and that is what the notice is about."""
    put_a_pack(hub_cache, "auraface")
    asked = ask(scene, "auraface")
    engine.require_here(asked.wish)
    (tmp_path / "run").mkdir()
    events = list(run(asked, engine, tmp_path / "run", never))
    checked = only(Checked, events)
    assert checked.judge == text.judge("auraface", UNKNOWN.name, UNKNOWN.notice)
    assert UNKNOWN.notice in public_event(checked)["message"]
    assert only(Finished, events).report.judge_name == "auraface"


def test_the_bundled_judge_is_named_with_its_licence(engine, scene, tmp_path):
    events = run(ask(scene, "bundled"), engine, tmp_path, never)
    assert only(Checked, events).judge == "Judge: dlib's face network, licence CC0-1.0."


@pytest.mark.parametrize("name", ["buffalo_l", "antelopev2"])
def test_a_non_commercial_judge_says_so_and_is_never_fetched_unasked(
    hub_cache, engine, scene, tmp_path, name
):
    assert "for non-commercial research only" in engine.about_judge(name)
    assert card_of(name).notice in engine.about_judge(name)
    asked = ask(scene, name)
    with pytest.raises(InputError, match=f"The judge {name} is not on this machine yet; open"):
        engine.require_here(asked.wish)
    with pytest.raises(InputError, match="press Download and load"):
        list(run(asked, engine, tmp_path, never))


def test_the_button_says_whether_something_will_be_downloaded(hub_cache, engine):
    """The model is here; the judge comes later."""
    with gr.Blocks():
        page = build_page([])
    handlers, menu = ModelHandlers(page, engine), page.form.menu
    values = {part: part.value for part in {*page.form.inputs(), *menu.inputs(), menu.seen}}

    def labels(judge):
        values[menu.judge] = judge
        updates = (*handlers.look_at_judge(values), handlers.look(values))
        return [each[menu.load].value for each in updates if menu.load in each]

    assert labels("auraface") == [text.LOAD_FETCHED] * 2
    assert labels("bundled") == [text.LOAD] * 2
    put_a_pack(hub_cache, "auraface")
    assert labels("auraface") == [text.LOAD] * 2


def test_a_choice_that_is_told_twice_is_answered_once_with_what_suits_it(hub_cache, engine):
    with gr.Blocks():
        page = build_page([])
    handlers, menu, letter = (
        ModelHandlers(page, engine),
        page.form.menu,
        page.form.suggestions.letter,
    )
    values = {part: part.value for part in {*page.form.inputs(), *menu.inputs(), menu.seen}}

    def look(name):
        values[menu.name] = name
        updates = handlers.look(values)
        values[menu.seen] = updates.get(menu.seen, values[menu.seen])
        return updates

    assert look("vace-1.3b")[letter]["now"][:2] == [0, VACE_GUIDANCE], "what suits it"
    again = look("vace-1.3b")
    assert letter not in again
    assert menu.facts in again
    assert look("bundled")[letter]["now"][:2] == [0, 0]
    assert look("vace-1.3b")[letter]["now"][:2] == [0, VACE_GUIDANCE], (
        "another choice sets them anew"
    )
