"""Keyframes, face-aware attention and both together: their laws on the tiny model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import made_up_faces
import numpy as np
import pytest
import torch
from torch.nn import functional

import idvid
from idvid.config import MAX_SEED, GenerationSettings
from idvid.config import METHODS as NAMES
from idvid.errors import InputError
from idvid.faces.align import arcface_chips
from idvid.methods import METHODS, Keyframes
from idvid.models.checkpoint import load_part
from idvid.pipeline.backend import checked_method
from idvid.pipeline.condition import landmarks_px
from idvid.pipeline.decode import decode_frames
from idvid.pipeline.denoise import clip_noise, euler
from idvid.pipeline.frames import NEVER, Task, make_frames, predicted_clean
from idvid.pipeline.keyframes import (
    draw_keyframe,
    frames_between,
    last_frame,
    make_window,
    weakest_likeness,
)
from idvid.pipeline.precision import autocast
from idvid.pipeline.vace_options import VaceOptions
from idvid.pipeline.windows import Window
from idvid.types import Scene, StepDone, WindowDone

STEPS = 2
ROUNDING = 1e-2  # of bfloat16, where the processor has it
SEED = 2  # of a clip whose first candidate is not its best keyframe


@pytest.fixture(scope="module")
def scene(references):
    characters = made_up_faces.characters(references)
    return Scene(prompt="@Ana smiles and the man", characters=characters, seconds=1.25, seed=SEED)


def settings(method, **changes):
    return GenerationSettings(method=method, num_steps=STEPS, **changes)


@pytest.fixture(scope="module")
def first_window(pipeline, scene, references):
    """The tiny model with a backbone that sees differences, and a window of four frames."""
    weights = Path(idvid.__file__).parent / "weights" / "mini" / "backbone"
    model = replace(pipeline.model, backbone=load_part("backbone", weights))
    request = pipeline.prepare(scene, references, settings("keyframes"))
    window = Window(first_frame=0, num_frames=4, total_frames=4)
    conditions = pipeline.condition(request, window, (), pipeline.plan(request, window, ()))
    faces = torch.from_numpy(np.stack([made_up_faces.POINTS, made_up_faces.POINTS + 15]))
    landmarks = (faces[None, :, None].expand(-1, -1, 4, -1, -1) + 0.5) / 128  # in the picture
    conditions = replace(conditions, landmarks=landmarks)
    noise = clip_noise(request.noise, 4, request.generator)
    finished = torch.zeros(1, 0, *request.noise.shape)
    vectors = torch.randn(2, 3, 512, generator=torch.Generator().manual_seed(1))
    prepared = replace(request.prepared, vectors=tuple(functional.normalize(vectors, dim=-1)))
    task = Task(conditions=conditions, finished=finished, noise=noise)
    return model, replace(request, prepared=prepared), task


def finish(generator):
    """What a generator yields, and what it returns."""
    yielded = []
    with torch.inference_mode(), autocast():
        while True:
            try:
                yielded.append(next(generator))
            except StopIteration as end:
                return yielded, end.value


def test_methods_are_those_that_the_page_names():
    assert tuple(METHODS) == NAMES


@pytest.mark.parametrize(
    ("method", "base"), [("keyframes", "none"), ("face_aware", "none"), ("full", "context")]
)
def test_strength_zero_is_the_base_model_exactly(pipeline, scene, references, method, base):
    off = list(pipeline.stream(scene, references, settings(method, identity_strength=0.0)))
    plain = list(pipeline.stream(scene, references, settings(base)))
    assert [type(event) for event in off] == [type(event) for event in plain]
    for one, two in zip(off, plain, strict=True):
        if isinstance(one, StepDone):
            assert one == two
        else:
            assert np.array_equal(one.frames, two.frames)


def test_same_seed_same_bytes_and_photos_matter(pipeline, scene, references):
    short = replace(scene, seconds=1.0)
    one = pipeline(short, references, settings("full")).frames
    assert np.array_equal(one, pipeline(short, references, settings("full")).frames)
    assert not np.array_equal(one, pipeline(short, references, settings("context")).frames)


@pytest.mark.parametrize("last", [1, 2, 3, 4])
def test_cancel_takes_effect_between_any_two_steps(pipeline, scene, references, monkeypatch, last):
    rule = Keyframes(draws=1, accept=-1.0, reads_between=True)
    monkeypatch.setitem(METHODS, "full", replace(METHODS["full"], keyframes=rule))
    seen = []
    for event in pipeline.stream(scene, references, settings("full"), lambda: len(seen) >= last):
        seen.append(event)
    assert [event.done for event in seen] == list(range(1, last + 1))


@pytest.mark.parametrize(
    ("accept", "expected"),
    [(-1.0, [1, 2, 7, 8, 9, 10, 15, 16]), (1.1, list(range(1, 17)))],
)
def test_progress_counts_candidates_that_need_not_be_drawn(
    pipeline, scene, references, monkeypatch, accept, expected
):
    rule = Keyframes(draws=3, accept=accept, reads_between=True)
    monkeypatch.setitem(METHODS, "keyframes", replace(METHODS["keyframes"], keyframes=rule))
    events = list(pipeline.stream(scene, references, settings("keyframes")))
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [step.done for step in steps] == expected
    assert {step.total for step in steps} == {16}


def test_a_last_window_of_one_frame_needs_no_keyframe(pipeline, scene, references):
    events = list(
        pipeline.stream(replace(scene, seconds=13 / 12), references, settings("keyframes"))
    )
    steps = [event for event in events if isinstance(event, StepDone)]
    assert steps[-1].done == steps[-1].total
    assert len(events[-1].frames) == 1


def candidates(model, request, task, count):
    """The keyframes that may be drawn, in order, and how alike each is."""
    redraws = torch.Generator().manual_seed(MAX_SEED + 1 + SEED)
    request.redraws.manual_seed(MAX_SEED + 1 + SEED)
    own = last_frame(task)
    noises = [own.noise, *(clip_noise(request.noise, 1, redraws) for _ in range(count - 1))]
    landmarks = landmarks_px(own.conditions)[:, -1]
    drawn = []
    with torch.inference_mode(), autocast():
        for noise in noises:
            *_, latents = make_frames(model, request, replace(own, noise=noise), NEVER)
            drawn.append(latents)
        alike = [weakest_likeness(model, request, d, landmarks) for d in drawn]
    return drawn, alike


def test_the_best_candidate_is_kept_and_not_the_first(first_window):
    model, request, task = first_window
    drawn, alike = candidates(model, request, task, 6)
    best = int(np.argmax(alike))
    assert best > 0, "choose another seed: the first candidate must not be the best"
    rule = Keyframes(draws=6, accept=1.1, reads_between=True)
    steps, key = finish(draw_keyframe(model, request, last_frame(task), rule))
    assert torch.equal(key, drawn[best])
    assert steps == list(range(1, 6 * STEPS + 1))


def test_drawing_ends_with_the_first_candidate_that_is_good_enough(first_window):
    model, request, task = first_window
    drawn, alike = candidates(model, request, task, 6)
    good = next(i for i in range(1, 6) if alike[i] > max(alike[:i]))
    rule = Keyframes(draws=6, accept=alike[good] - 1e-6, reads_between=True)
    assert max(alike[:good]) < rule.accept
    steps, key = finish(draw_keyframe(model, request, last_frame(task), rule))
    assert torch.equal(key, drawn[good])
    assert steps[-1] == (good + 1) * STEPS


def test_the_frames_between_lie_between_clean_ones(first_window):
    model, request, task = first_window
    key = torch.full_like(task.noise[:, -1:], 0.5)
    rule = Keyframes(draws=1, accept=-1.0, reads_between=False)
    between = frames_between(task, key, rule)
    assert torch.equal(between.finished, key)
    assert torch.equal(between.noise, task.noise[:, :3])
    assert between.conditions.identity is None
    given = frames_between(task, key, replace(rule, reads_between=True))
    times = given.conditions.time_s[0] * 12
    assert times.tolist() == pytest.approx([3, 0, 1, 2])  # the keyframe is later, and finished
    with torch.inference_mode(), autocast():
        *_, one = make_frames(model, request, given, NEVER)
        *_, two = make_frames(model, request, replace(given, finished=-given.finished), NEVER)
    assert not torch.equal(one, two)  # the keyframe is read


def test_the_keyframe_is_the_windows_last_frame(first_window):
    model, request, task = first_window
    drawn, _ = candidates(model, request, task, 1)
    rule = Keyframes(draws=1, accept=-1.0, reads_between=True)
    request = replace(request, method=replace(request.method, keyframes=rule))
    steps, latents = finish(make_window(model, request, task))
    assert steps == [1, 2, 3, 4]
    assert latents.shape == task.noise.shape
    assert torch.equal(latents[:, -1:], drawn[0])


def test_likeness_is_the_weakest_face_by_the_conditioning_backbone(first_window):
    model, request, task = first_window
    landmarks = landmarks_px(task.conditions)[:, 0]
    latents = task.noise[:, :1]
    with torch.inference_mode(), autocast():
        picture = decode_frames(model.autoencoder, latents[0])
        chips = arcface_chips(picture.expand(len(landmarks), -1, -1, -1), landmarks)
        ana, ben = model.backbone(chips).float()

    def likeness(*photos):
        changed = replace(request, prepared=replace(request.prepared, vectors=photos))
        with torch.inference_mode(), autocast():
            return weakest_likeness(model, changed, latents, landmarks)

    drawn = likeness(ana[None], ben[None])
    assert drawn == pytest.approx(1, abs=ROUNDING)  # people whose photos are the faces drawn
    assert likeness(-ana[None], ben[None]) == pytest.approx(-1, abs=ROUNDING)
    assert likeness(ana[None], 0 * ben[None]) == pytest.approx(0, abs=ROUNDING)
    assert likeness(torch.stack([-ana, ana]), ben[None]) == drawn  # the nearest photo counts


def test_an_euler_step_tells_where_it_was_heading_for():
    random = torch.Generator().manual_seed(0)
    noisy, clean = torch.randn(2, 1, 3, 4, 2, 2, generator=random)
    after = euler(noisy, clean, torch.tensor(0.25), torch.tensor(0.4))
    assert torch.allclose(predicted_clean(noisy, after, 0.25, 0.4), clean, atol=1e-5)


@pytest.mark.parametrize("method", ["keyframes", "face_aware", "full"])
def test_vace_refuses_what_it_does_not_follow(scene, references, method):
    backend = VaceOptions().backend()
    with pytest.raises(InputError) as refusal:
        checked_method(backend, scene, references, settings(method))
    assert str(refusal.value) == (
        f"{backend.name} has no method '{method}'; use one of none, context, locks."
    )


def test_faces_are_looked_for_half_way_on_the_new_frames(pipeline, scene, references, monkeypatch):
    """No face is drawn by random weights, so here the finder is told what to say."""
    looked = []

    def told(pixels, planned):
        looked.append((pixels.shape, planned.shape))
        return torch.from_numpy(made_up_faces.POINTS).expand_as(planned).clone()  # in the picture

    monkeypatch.setattr("idvid.pipeline.frames.seen_landmarks", told)
    stream = pipeline.stream(scene, references, settings("face_aware"))
    counts = [(type(event), len(looked)) for event in stream]
    first = [(StepDone, 0), (StepDone, 1), (WindowDone, 1)]
    assert counts == [*first, (StepDone, 1), (StepDone, 2), (WindowDone, 2)]
    assert looked == [((12, 128, 224, 3), (2, 12, 5, 2)), ((3, 128, 224, 3), (2, 3, 5, 2))]
