import inspect

import pytest

from idvid.scene_file import write_scene
from idvid.ui.engine import Engine
from idvid.ui.handlers import Handlers
from idvid.ui.page import build, launch_options


@pytest.fixture
def page(scene, tmp_path):
    """The page with one example; nothing is served and no model is loaded."""
    write_scene(scene, tmp_path / "two_in_a_garden.json")
    return build(Engine(), tmp_path)


def test_every_example_is_a_button_named_after_its_file(page):
    labels = [getattr(block, "value", None) for block in page.blocks.values()]
    assert "Two in a garden" in labels


def test_labels_are_unique_so_that_screen_readers_can_tell_them_apart(page):
    labels = [
        block.label
        for block in page.blocks.values()
        if getattr(block, "label", None) and block.get_block_name() in ("textbox", "gallery", "tab")
    ]
    assert len(labels) >= 24
    assert len(set(labels)) == len(labels)


def test_only_the_api_is_public(page):
    public = {fn.api_name for fn in page.fns.values() if fn.api_visibility == "public"}
    assert public == {"generate", "check_references", "describe_model", "load_model"}


def test_generation_runs_one_at_a_time_for_page_and_api_together(page):
    limited = [fn for fn in page.fns.values() if fn.concurrency_id == "gpu"]
    assert sorted(fn.name for fn in limited) == ["generate", "generate"]
    assert {fn.concurrency_limit for fn in limited} == {1}


def test_nothing_is_recorded_and_uploads_are_limited(page):
    options = launch_options()
    assert options["max_file_size"] == "15mb"
    assert not options["enable_monitoring"]
    assert not options["run_history"]
    assert not options["show_error"]
    assert not page.analytics_enabled
    assert page.delete_cache == (3600, 86400)


def test_handlers_stay_thin():
    """A handler that grows past 15 lines does work that belongs elsewhere."""
    methods = inspect.getmembers(Handlers, inspect.isfunction)
    lengths = {name: len(inspect.getsource(method).splitlines()) for name, method in methods}
    form_reading = {"__init__", "raw_request"}  # a table of fields, not an action
    assert {n: k for n, k in lengths.items() if k > 15 and n not in form_reading} == {}
