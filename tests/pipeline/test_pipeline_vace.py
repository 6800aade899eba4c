"""Laws of the VACE backend on a tiny checkpoint: stock where it must be, windows, cancelling."""

from __future__ import annotations

from dataclasses import replace

import made_up_faces
import numpy as np
import pytest
import torch
import wan_tiny
from diffusers import WanVACEPipeline

from idvid.conditioning.prompt import plain_prompt
from idvid.config import GenerationSettings
from idvid.errors import InputError
from idvid.pipeline.vace_load import VaceModel, load_vace
from idvid.pipeline.vace_options import VaceOptions
from idvid.pipeline.vace_prepare import NEGATIVE_PROMPT, portraits
from idvid.types import StepDone, WindowDone

STEPS = 2
ONE_WINDOW_S = 9 / 16


def settings(method="locks", **changes):
    return GenerationSettings(method=method, **({"num_steps": STEPS} | changes))


@pytest.fixture(scope="module")
def pipeline(vace_folder):
    return load_vace(VaceModel(base=vace_folder), VaceOptions(**wan_tiny.VACE_SIZE))


@pytest.fixture(scope="module")
def stock(vace_folder):
    made = WanVACEPipeline.from_pretrained(vace_folder)
    made.set_progress_bar_config(disable=True)
    return made


def stock_frames(stock, scene, guidance, **more):
    """What diffusers itself makes of the same prompt and seed, 9 frames."""
    frames = stock(
        prompt=plain_prompt(scene.prompt, scene.characters),
        negative_prompt=NEGATIVE_PROMPT,
        height=32,
        width=48,
        num_frames=9,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(scene.seed),
        **more,
    ).frames[0]
    return (frames * 255).round().astype(np.uint8)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_strength_zero_is_the_stock_pipeline_bit_for_bit(
    pipeline, stock, vace_scene, vace_references, guidance
):
    scene = replace(vace_scene, seconds=ONE_WINDOW_S)
    expected = stock_frames(stock, scene, guidance)
    for chosen in (
        settings("locks", identity_strength=0.0, guidance_scale=guidance),
        settings("none", guidance_scale=guidance),
    ):
        assert np.array_equal(pipeline(scene, vace_references, chosen).frames, expected)
    strong = pipeline(scene, vace_references, settings(guidance_scale=guidance)).frames
    assert not np.array_equal(strong, expected)


def test_a_grey_video_is_encoded_once_for_all_clips_of_its_size(
    vace_folder, vace_scene, vace_references, monkeypatch
):
    pipeline = load_vace(VaceModel(base=vace_folder), VaceOptions(**wan_tiny.VACE_SIZE))
    encode, lengths = pipeline.vae.encode, []
    monkeypatch.setattr(
        pipeline.vae, "encode", lambda video: lengths.append(video.shape[2]) or encode(video)
    )
    scene = replace(vace_scene, seconds=ONE_WINDOW_S)
    clips = [pipeline(scene, vace_references, settings()).frames for _ in range(2)]
    assert lengths.count(9) == 1
    assert lengths.count(1) == 2 * len(portraits(vace_references))
    assert np.array_equal(*clips)


@pytest.mark.parametrize(("strength", "scale"), [(1.0, 1.0), (0.5, 0.5)])
def test_strength_is_the_conditioning_scale_of_the_stock_pipeline_with_references(
    pipeline, stock, vace_scene, vace_references, strength, scale
):
    """Diffusers puts the last reference first; Wan's own code, and so ours, the first one."""
    scene = replace(vace_scene, seconds=ONE_WINDOW_S)
    images = portraits(vace_references)
    assert len(images) == 3
    expected = stock_frames(
        stock, scene, 1.0, reference_images=images[::-1], conditioning_scale=scale
    )
    chosen = settings(identity_strength=strength, guidance_scale=1.0)
    assert np.array_equal(pipeline(scene, vace_references, chosen).frames, expected)


def test_the_order_of_the_photos_counts(pipeline, vace_scene, vace_references):
    scene = replace(vace_scene, seconds=ONE_WINDOW_S)
    one = pipeline(scene, vace_references, settings()).frames
    other = pipeline(scene, vace_references[::-1], settings()).frames
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("method", ["none", "context", "locks"])
def test_windows_arrive_whole_and_in_order_with_every_step(
    pipeline, vace_scene, vace_references, method
):
    events = list(pipeline.stream(vace_scene, vace_references, settings(method)))
    steps = [event for event in events if isinstance(event, StepDone)]
    windows = [event for event in events if isinstance(event, WindowDone)]
    assert [step.done for step in steps] == [1, 2, 3, 4]
    assert {step.total for step in steps} == {4}
    assert [(w.first_frame, len(w.frames), w.total_frames) for w in windows] == [
        (0, 9, 12),
        (9, 3, 12),
    ]
    assert windows[0].frames.shape[1:] == (32, 48, 3)
    assert {w.frames.dtype for w in windows} == {np.dtype(np.uint8)}
    assert windows[0].fps == pipeline.backend.fps == 16


def test_same_seed_same_video_also_when_two_streams_take_turns(
    pipeline, vace_scene, vace_references
):
    def windows(method):
        events = pipeline.stream(vace_scene, vace_references, settings(method))
        return (event.frames for event in events if isinstance(event, WindowDone))

    alone = {method: list(windows(method)) for method in ("locks", "context")}
    turns = list(zip(windows("locks"), windows("context"), strict=True))
    for index, pair in enumerate(turns):
        assert np.array_equal(pair[0], alone["locks"][index])
        assert np.array_equal(pair[1], alone["context"][index])
    other = pipeline(replace(vace_scene, seed=4), vace_references, settings()).frames
    assert not np.array_equal(np.concatenate(alone["locks"]), other)


def test_a_window_goes_on_from_the_frames_before_it(pipeline, vace_scene, vace_references):
    scene = replace(vace_scene, seconds=4 / 16)
    rng = np.random.default_rng(1)
    before = rng.integers(0, 255, (7, 32, 48, 3), dtype=np.uint8)
    first = next(
        event
        for event in pipeline.stream(scene, (), settings("none"), before=before)
        if isinstance(event, WindowDone)
    )
    assert (first.first_frame, len(first.frames)) == (0, 4)
    other = before.copy()
    other[-1] = 255 - other[-1]
    changed = list(pipeline.stream(scene, (), settings("none"), before=other))[-1]
    assert not np.array_equal(first.frames, changed.frames)
    ignored = before.copy()
    ignored[:2] = 0  # older than what a window keeps
    same = list(pipeline.stream(scene, (), settings("none"), before=ignored))[-1]
    assert np.array_equal(first.frames, same.frames)
    with pytest.raises(InputError, match=r"is 32 x 48 px with 7 frames; make it 48 x 32 px first"):
        next(pipeline.stream(scene, (), settings("none"), before=before.transpose(0, 2, 1, 3)))


def test_a_clip_may_be_shorter_than_its_references(pipeline, vace_scene):
    """Four reference frames in front of two latent frames, where diffusers itself fails."""
    references = made_up_faces.references(2, 2)
    scene = replace(vace_scene, seconds=4 / 16)
    assert pipeline(scene, references, settings()).frames.shape == (4, 32, 48, 3)


def test_cancel_takes_effect_before_the_next_step(pipeline, vace_scene, vace_references):
    calls = []
    hook = pipeline.transformer.register_forward_hook(lambda *_: calls.append(1))
    seen = []
    chosen = settings(guidance_scale=1.0)
    for event in pipeline.stream(vace_scene, vace_references, chosen, lambda: len(seen) >= 1):
        seen.append(event)
    hook.remove()
    assert len(seen) == len(calls) == 1
    assert isinstance(seen[0], StepDone)


def test_guidance_one_costs_one_pass(pipeline, vace_scene, vace_references):
    calls = []
    hook = pipeline.transformer.register_forward_hook(lambda *_: calls.append(1))
    scene = replace(vace_scene, seconds=ONE_WINDOW_S)
    pipeline(scene, vace_references, settings(guidance_scale=1.0))
    once = len(calls)
    pipeline(scene, vace_references, settings(guidance_scale=3.0))
    hook.remove()
    assert (once, len(calls) - once) == (STEPS, 2 * STEPS)


def test_previews_are_small_and_come_every_few_steps(vace_folder, vace_scene, vace_references):
    options = VaceOptions(**wan_tiny.VACE_SIZE, preview_every=2)
    pipeline = load_vace(VaceModel(base=vace_folder), options)
    scene = replace(vace_scene, seconds=ONE_WINDOW_S)
    chosen = settings(num_steps=4, guidance_scale=1.0)
    steps = [e for e in pipeline.stream(scene, vace_references, chosen) if isinstance(e, StepDone)]
    assert [step.preview is not None for step in steps] == [False, True, False, True]
    assert steps[1].preview.shape == (8, 12, 3)
    assert steps[1].preview.dtype == np.uint8


def test_what_cannot_be_made_is_one_sentence(pipeline, vace_scene, vace_references):
    five = made_up_faces.references(1, 1, 1, 1, 1)
    crowd = replace(vace_scene, characters=made_up_faces.characters(five))
    with pytest.raises(
        InputError, match="keeps up to 4 people apart and the scene has 5; remove 1"
    ):
        next(pipeline.stream(crowd, five, settings()))
    with pytest.raises(InputError, match="no method 'magic'; use one of none, context, locks"):
        next(pipeline.stream(vace_scene, vace_references, settings("magic")))
    with pytest.raises(InputError, match="1 characters have references and the scene has 2"):
        next(pipeline.stream(vace_scene, vace_references[:1], settings()))


def test_every_word_is_known(pipeline, vace_scene):
    assert pipeline.unknown_words(vace_scene) == ()
