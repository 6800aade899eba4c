import threading
import time
from dataclasses import replace

import av
import pytest
from rendered_people import RenderedPeopleEngine, loader_of

from idvid.config import GenerationSettings
from idvid.errors import IdvidError, InputError, ModelError
from idvid.pipeline.backend import MINI
from idvid.pipeline.extras import NOTHING_ADDED
from idvid.pipeline.loader import BUSY, Loader
from idvid.types import SteppedDown
from idvid.ui import text
from idvid.ui.engine import DEFAULT_WISH, Engine, Wish
from idvid.ui.public_events import public_event
from idvid.ui.runs import (
    Checked,
    Chunk,
    Compared,
    Ended,
    Finished,
    Measured,
    Progress,
    Replanned,
    RunRequest,
    Waiting,
    run,
)


def never() -> bool:
    return False


def ask(scene, *methods) -> RunRequest:
    settings = tuple(GenerationSettings(method=method) for method in methods)
    return RunRequest(scene=scene, settings=settings, num_steps=3)


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def frame_count(path) -> int:
    with av.open(path) as video:
        return sum(1 for _ in video.decode(video=0))


@pytest.fixture(scope="module")
def two_methods(tmp_path_factory, scene):
    """All events of one comparison; its files stay as long as the folder."""
    engine = Engine(loader_of(RenderedPeopleEngine))
    folder = tmp_path_factory.mktemp("run")
    return list(run(ask(scene, "none", "locks"), engine, folder, never))


def test_two_methods_take_turns_window_by_window(two_methods):
    assert [chunk.method for chunk in of(Chunk, two_methods)] == ["none", "locks"] * 2


def test_a_window_is_shown_before_it_is_measured(two_methods):
    kinds = [(type(e), e.method) for e in two_methods if isinstance(e, (Chunk, Measured))]
    assert kinds[0::2] == [(Chunk, method) for _, method in kinds[1::2]]


def test_progress_counts_the_steps_of_all_methods(two_methods):
    progress = of(Progress, two_methods)
    assert [step.done for step in progress] == list(range(1, 13))
    assert {step.total for step in progress} == {12}
    assert progress[0].seconds_left is None
    assert progress[-1].seconds_left == 0


def test_the_video_has_every_frame_once(two_methods, scene):
    for finished in of(Finished, two_methods):
        assert frame_count(finished.video) == scene.seconds * 12
        assert finished.report.frames == scene.seconds * 12


def test_the_streamed_points_have_the_times_of_the_report(two_methods):
    for finished in of(Finished, two_methods):
        measured = [e for e in of(Measured, two_methods) if e.method == finished.method]
        for character in finished.report.characters:
            streamed = [time for event in measured for time, _ in event.new[character.name]]
            assert streamed == [time for time, _ in character.series]


def test_each_method_gets_its_files_and_both_one_figure(two_methods):
    for finished in of(Finished, two_methods):
        names = [path.name for path in finished.files]
        assert names == ["report.json", "drift.csv", "drift.png", "run.json"]
        assert all(path.stat().st_size > 100 for path in finished.files)
    (compared,) = of(Compared, two_methods)
    assert compared.figure.read_bytes().startswith(b"\x89PNG")
    assert compared.reports == {f.method: f.report for f in of(Finished, two_methods)}
    assert two_methods[-1] == Ended(message=text.DONE)


def test_one_method_has_no_comparison(engine, scene, tmp_path):
    events = list(run(ask(scene, "locks"), engine, tmp_path, never))
    assert not of(Compared, events)
    assert len(of(Finished, events)) == 1


def test_a_stop_takes_effect_within_one_step_and_keeps_what_is_there(
    engine, pipeline, scene, tmp_path
):
    stop = threading.Event()
    events = []
    for event in run(ask(scene, "none", "locks"), engine, tmp_path, stop.is_set):
        events.append(event)
        if len(of(Progress, events)) == 7:  # both have one window, `none` is in its second
            stop.set()
    assert len(of(Progress, events)) == 7
    assert {frame_count(finished.video) for finished in of(Finished, events)} == {6}
    assert events[-1] == Ended(message=text.STOPPED)
    assert pipeline.opened == pipeline.closed == 2


def test_a_stop_before_the_first_picture_leaves_no_file(engine, scene, tmp_path):
    stop = threading.Event()
    events = []
    for event in run(ask(scene, "none"), engine, tmp_path, stop.is_set):
        events.append(event)
        if isinstance(event, Checked):
            stop.set()
    assert events[-1] == Ended(message=text.STOPPED_EMPTY)
    assert not list(tmp_path.iterdir())


def test_closing_a_run_closes_the_pipeline(engine, pipeline, scene, tmp_path):
    events = run(ask(scene, "none", "locks"), engine, tmp_path, never)
    next(event for event in events if isinstance(event, Chunk))
    events.close()
    assert pipeline.opened == pipeline.closed > 0


def test_the_real_pipeline_runs_here_too(monkeypatch, tiny_folder, scene, tmp_path):
    """Random weights: nobody is found, which must stay visible and break nothing."""
    monkeypatch.setenv("IDVID_MODEL", str(tiny_folder))
    events = list(run(ask(scene, "context", "locks"), Engine(), tmp_path, never))
    (checked,) = of(Checked, events)
    assert "garden" in checked.unknown_words
    assert [finished.method for finished in of(Finished, events)] == ["context", "locks"]
    for finished in of(Finished, events):
        assert frame_count(finished.video) == 12
        assert all(len(each.series) == 12 for each in finished.report.characters)
    assert {step.total for step in of(Progress, events)} == {6}


def test_the_vace_pipeline_runs_here_too(monkeypatch, vace_folder, scene, tmp_path):
    """The page knows no difference: other size and rate, one stream."""
    import wan_tiny

    from idvid.pipeline.vace_options import VaceOptions

    monkeypatch.setenv("IDVID_MODEL", str(vace_folder))
    engine = Engine(Loader(VaceOptions(**wan_tiny.VACE_SIZE)))
    events = list(run(ask(scene, "none", "locks"), engine, tmp_path, never))
    (checked,) = of(Checked, events)
    assert checked.unknown_words == ()
    assert [finished.method for finished in of(Finished, events)] == ["none", "locks"]
    frames = round(scene.seconds * 16)
    for finished in of(Finished, events):
        assert finished.report.fps == 16
        assert frame_count(finished.video) == frames
        assert all(len(each.series) == frames for each in finished.report.characters)


def test_a_run_waits_for_the_models_and_says_so(pipeline, scene, tmp_path):
    gate = threading.Event()

    def load_when_told():
        assert gate.wait(timeout=60)
        return pipeline

    engine, events = Engine(loader_of(load_when_told)), []
    assert engine.state == text.LOADING
    engine.start()
    for event in run(ask(scene, "none"), engine, tmp_path, never):
        events.append(event)
        if event == Waiting(message="Loading idvid-mini ..."):
            gate.set()
    assert of(Finished, events)
    wait_for_start(engine)
    assert engine.state == "idvid-mini is ready."


def wait_for_start(engine) -> None:
    while engine.is_starting:
        time.sleep(0.01)


def test_a_stop_ends_the_wait_for_a_model_that_is_in_use(engine, scene, tmp_path):
    for _ in engine.hold(DEFAULT_WISH):
        pass
    stop, events = threading.Event(), []
    for event in run(ask(scene, "none"), engine, tmp_path, stop.is_set):
        events.append(event)
        if event == Waiting(message=BUSY):
            stop.set()
    assert events[-1] == Ended(message=text.STOPPED_EMPTY)
    engine.release()
    assert of(Finished, run(ask(scene, "none"), engine, tmp_path, never))


def test_steps_and_guidance_default_to_what_suits_the_model(engine, scene, tmp_path):
    settings = (GenerationSettings(method="none", num_steps=99),)
    events = run(RunRequest(scene=scene, settings=settings), engine, tmp_path, never)
    assert next(e for e in events if isinstance(e, Progress)).total == 2 * MINI.num_steps


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ModelError("The weights are cut off; reinstall idvid."), "cut off"),
        (RuntimeError("boom in /secret/place"), text.MODEL_FAILED),
    ],
)
def test_models_that_do_not_load_end_in_one_sentence(error, sentence, scene, tmp_path):
    def fail():
        raise error

    engine = Engine(loader_of(fail))
    engine.start()
    with pytest.raises(IdvidError, match=sentence) as caught:
        list(run(ask(scene, "none"), engine, tmp_path, never))
    wait_for_start(engine)
    assert engine.state == str(caught.value)
    assert "secret" not in engine.state


def test_a_model_that_was_never_downloaded_is_refused_and_disturbs_nobody(
    monkeypatch, engine, scene, tmp_path
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    request = replace(ask(scene, "none"), wish=Wish(model="vace-1.3b"))
    with pytest.raises(ModelError, match="is not on this machine yet; download it first"):
        list(run(request, engine, tmp_path, never))
    with pytest.raises(InputError, match="open Model and press Download and load"):
        engine.require_here(Wish(model="vace-1.3b"))
    engine.require_here(Wish(model="bundled"))
    assert of(Finished, run(ask(scene, "none"), engine, tmp_path, never))


def test_a_full_memory_is_said_on_the_page_and_in_the_api(engine, pipeline, scene, tmp_path):
    pipeline.notice = SteppedDown(plan="encoder-off", message="Out of memory; going on.")
    events = list(run(ask(scene, "none"), engine, tmp_path, never))
    (replanned,) = of(Replanned, events)
    assert public_event(replanned)["stage"] == "plan"
    assert public_event(replanned)["method"] == "none"
    assert public_event(replanned)["message"] == "Text only: Out of memory; going on."
    assert frame_count(of(Finished, events)[0].video) == 12


def test_a_run_that_compiles_says_that_it_begins_slowly(monkeypatch, engine, scene, tmp_path):
    monkeypatch.setattr("idvid.pipeline.offers._refusal", lambda _: "")
    request = ask(scene, "none")
    compiled = replace(request, wish=Wish(extras=replace(NOTHING_ADDED, compiled=True)))
    for asked, is_said in ((request, False), (compiled, True)):
        folder = tmp_path / str(is_said)
        folder.mkdir()
        waiting = of(Waiting, run(asked, engine, folder, never))
        assert (text.COMPILING in [each.message for each in waiting]) is is_said


def test_only_a_model_that_can_goes_on_from_a_video(engine, scene, tmp_path):
    asked = replace(ask(scene, "none"), ending=tmp_path / "none.mp4")
    with pytest.raises(InputError, match="idvid-mini cannot go on from a video; choose a VACE"):
        list(run(asked, engine, tmp_path, never))
