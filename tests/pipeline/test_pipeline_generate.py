"""The pipeline at a tiny size, from a folder in the Hub's format."""

from __future__ import annotations

from dataclasses import replace

import made_up_faces
import numpy as np
import pytest
import torch

from idvid.config import GenerationSettings
from idvid.errors import HubError, InputError, ModelError
from idvid.methods import METHODS
from idvid.pipeline.generate import load_pipeline
from idvid.types import Scene, StepDone, WindowDone

STEPS = 2


@pytest.fixture(scope="module")
def scene(references):
    characters = made_up_faces.characters(references)
    return Scene(prompt="@Ana smiles and the man", characters=characters, seconds=1.25, seed=3)


def settings(method="locks", **changes):
    return GenerationSettings(method=method, num_steps=STEPS, **changes)


@pytest.mark.parametrize("method", METHODS)
def test_windows_arrive_whole_and_in_order_with_every_step(pipeline, scene, references, method):
    events = list(pipeline.stream(scene, references, settings(method)))
    steps = [event for event in events if isinstance(event, StepDone)]
    windows = [event for event in events if isinstance(event, WindowDone)]
    rule = METHODS[method].keyframes
    passes = 1 if rule is None else rule.draws + 1
    done = [step.done for step in steps]
    assert done == sorted(set(done))
    assert done[0] == 1
    assert done[-1] == 2 * STEPS * passes
    assert {step.total for step in steps} == {2 * STEPS * passes}
    assert [window.first_frame for window in windows] == [0, 12]
    assert [len(window.frames) for window in windows] == [12, 3]  # 1.25 s at 12 fps
    assert all(window.frames.dtype == np.uint8 for window in windows)
    assert windows[0].frames.shape[1:] == (128, 224, 3)
    assert not np.array_equal(windows[0].frames[0], windows[0].frames[-1])


def test_same_seed_same_video_other_seed_other_video(pipeline, scene, references):
    short = replace(scene, seconds=1.0)
    one = pipeline(short, references, settings()).frames
    two = pipeline(short, references, settings()).frames
    other = pipeline(replace(short, seed=4), references, settings()).frames
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_strength_zero_of_locks_is_the_baseline_exactly(pipeline, scene, references):
    short = replace(scene, seconds=1.0)
    locks = pipeline(short, references, settings("locks", identity_strength=0.0)).frames
    none = pipeline(short, references, settings("none")).frames
    strong = pipeline(short, references, settings("locks", identity_strength=0.8)).frames
    assert np.array_equal(locks, none)
    assert not np.array_equal(strong, none)


def test_methods_without_references_never_read_the_photos(pipeline, scene, references):
    short = replace(scene, seconds=1.0)
    assert np.array_equal(
        pipeline(short, (), settings("none")).frames,
        pipeline(short, references, settings("none")).frames,
    )


def test_guidance_one_costs_one_pass_and_is_the_conditional_model(pipeline, scene, references):
    calls = []
    hook = pipeline.transformer.register_forward_hook(lambda *_: calls.append(1))
    short = replace(scene, seconds=1.0)
    pipeline(short, references, settings(guidance_scale=1.0))
    once = len(calls)
    pipeline(short, references, settings(guidance_scale=2.0))
    hook.remove()
    assert (once, len(calls) - once) == (STEPS, 2 * STEPS)


def test_cancel_takes_effect_before_the_next_step(pipeline, scene, references):
    seen = []
    events = []
    for event in pipeline.stream(scene, references, settings(), lambda: len(seen) >= 1):
        events.append(event)
        seen.append(event)
    assert len(events) == 1
    assert isinstance(events[0], StepDone)


def test_memory_does_not_grow_with_the_clip(pipeline, scene, references):
    from idvid.pipeline.windows import History, Remembered, in_view, plan_windows, remember

    method, history = METHODS["context"], History()
    most = 0
    for window in plan_windows(30.0):
        view = in_view(history, method)
        most = max(most, len(history.recent) + len(history.distant))
        assert len(view) <= method.recent_frames + method.distant_frames
        numbers = [item.frame for item in view]
        assert numbers == sorted(set(numbers))
        made = tuple(
            Remembered(frame=window.first_frame + i, latents=torch.zeros(1), state=torch.zeros(1))
            for i in range(window.num_frames)
        )
        history = remember(history, made, method)
    assert most <= 12
    assert in_view(history, method)[0].frame < 60  # the beginning is still in view
    assert in_view(history, method)[-1].frame == 359


def test_references_are_laid_on_a_frame_once(pipeline, scene, references, monkeypatch):
    from idvid.pipeline import condition

    laid, anchors = [], []

    def lay(*arguments):
        anchors.append(encode_anchors(*arguments))
        return anchors[-1]

    encode_anchors = condition.encode_anchors
    monkeypatch.setattr(condition, "encode_anchors", lay)
    window_conditions = condition.window_conditions
    monkeypatch.setattr(
        "idvid.pipeline.generate.window_conditions",
        lambda *arguments: laid.append(window_conditions(*arguments)) or laid[-1],
    )
    list(pipeline.stream(scene, references, settings()))
    assert [len(new) for new in anchors] == [12, 3]
    second = laid[1].identity.anchors[0]
    assert torch.equal(second[:4], anchors[0][-4:].float())
    assert torch.equal(second[4:], anchors[1].float())


def test_unknown_words_are_listed_once_without_names(pipeline, scene):
    asked = replace(scene, prompt="@Ana flies a zeppelin, the zeppelin smiles at @Ben")
    assert pipeline.unknown_words(asked) == ("flies", "zeppelin", "at")


def test_an_unknown_method_and_missing_references_are_refused(pipeline, scene, references):
    with pytest.raises(InputError, match="no method 'magic'; use one of none, context, keyframes"):
        next(pipeline.stream(scene, references, settings("magic")))
    with pytest.raises(InputError, match="1 characters have references and the scene has 2"):
        next(pipeline.stream(scene, references[:1], settings("locks")))


def test_a_folder_without_a_model_or_with_damaged_files_is_refused(tmp_path, tiny_folder):
    import shutil

    with pytest.raises(ModelError, match="No model was found there"):
        load_pipeline(str(tmp_path))
    with pytest.raises(HubError):
        load_pipeline("neither a folder nor a hub name")
    broken = tmp_path / "broken"
    shutil.copytree(tiny_folder, broken)
    weights = next((broken / "transformer").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="damaged or of another kind"):
        load_pipeline(str(broken))
