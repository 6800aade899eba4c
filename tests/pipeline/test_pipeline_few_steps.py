"""The few-step student in the pipeline: when it is used, what it costs, and that it is optional."""

from __future__ import annotations

import json
from dataclasses import replace

import made_up_faces
import numpy as np
import pytest
import torch

from idvid.config import FEW_STEPS, FULL_STEPS, GenerationSettings
from idvid.errors import InputError
from idvid.models.checkpoint import STUDENT, load_bundled, save_bundled
from idvid.pipeline.generate import load_pipeline
from idvid.types import Scene, StepDone


@pytest.fixture(scope="module")
def model(tiny_model):
    """The tiny model with a student that is unlike its teacher."""
    student = type(tiny_model.transformer).from_config(tiny_model.transformer.config)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(5))
    return replace(tiny_model, transformer_few=student.eval())


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("few") / "model"
    save_bundled(model, folder)
    return folder


@pytest.fixture(scope="module")
def pipeline(folder):
    return load_pipeline(str(folder))


@pytest.fixture(scope="module")
def scene(references):
    characters = made_up_faces.characters(references)
    return Scene(prompt="@Ana smiles and the man", characters=characters, seconds=0.5, seed=3)


def settings(**changes):
    return replace(GenerationSettings(num_steps=FEW_STEPS), **changes)


class Passes:
    """Counts forward passes of student and teacher."""

    def __init__(self, pipeline):
        self.student = self.teacher = 0
        self._hooks = [
            pipeline.transformer_few.register_forward_hook(self._of_student),
            pipeline.transformer.register_forward_hook(self._of_teacher),
        ]

    def _of_student(self, *_):
        self.student += 1

    def _of_teacher(self, *_):
        self.teacher += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for hook in self._hooks:
            hook.remove()


def test_four_steps_are_four_passes_of_the_student(pipeline, scene, references):
    with Passes(pipeline) as passes:
        events = list(pipeline.stream(scene, references, settings()))
    assert (passes.student, passes.teacher) == (FEW_STEPS, 0)
    assert [event.done for event in events if isinstance(event, StepDone)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("method", "passes_at_most"), [("keyframes", 4), ("full", 4), ("face_aware", 1)]
)
def test_the_student_makes_keyframes_and_follows_faces_too(
    pipeline, scene, references, method, passes_at_most
):
    with Passes(pipeline) as passes:
        events = list(pipeline.stream(scene, references, settings(method=method)))
    made = [event for event in events if isinstance(event, StepDone)]
    assert (passes.student, passes.teacher) == (len(made), 0)
    assert made[-1].done == made[-1].total == passes_at_most * FEW_STEPS
    assert len(events[-1].frames) == 6


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"few_steps": False}, FEW_STEPS),
        ({"few_steps": False, "guidance_scale": 2.0}, 2 * FEW_STEPS),
        ({"num_steps": 3}, 3),
    ],
)
def test_else_the_teacher_works(pipeline, scene, references, changes, expected):
    with Passes(pipeline) as passes:
        list(pipeline.stream(scene, references, settings(**changes)))
    assert (passes.student, passes.teacher) == (0, expected)


def test_guidance_for_the_student_is_refused_before_any_work(pipeline, scene, references):
    with pytest.raises(InputError, match=f"guidance is 2; set it to 1, or take {FULL_STEPS} steps"):
        next(pipeline.stream(scene, references, settings(guidance_scale=2.0)))


def test_strength_zero_is_the_baseline_for_the_student_too(pipeline, scene, references):
    locks = pipeline(scene, references, settings(method="locks", identity_strength=0.0)).frames
    none = pipeline(scene, references, settings(method="none")).frames
    strong = pipeline(scene, references, settings(method="locks")).frames
    teacher = pipeline(scene, references, settings(method="locks", few_steps=False)).frames
    assert np.array_equal(locks, none)
    assert not np.array_equal(strong, none)
    assert not np.array_equal(strong, teacher)


def test_the_student_is_saved_and_read_back(model, folder):
    again = load_bundled(folder)
    expected = {n: v.half().float() for n, v in model.transformer_few.state_dict().items()}
    found = again.transformer_few.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert STUDENT in json.loads((folder / "model_index.json").read_text())


def test_a_model_without_a_student_loads_and_says_so(tiny_folder, pipeline, scene, references):
    assert STUDENT not in json.loads((tiny_folder / "model_index.json").read_text())
    plain = load_pipeline(str(tiny_folder))
    assert plain.model.transformer_few is None
    steps = [(p.backend.num_steps, p.backend.full_steps) for p in (plain, pipeline)]
    assert steps == [(FULL_STEPS, None), (FEW_STEPS, FULL_STEPS)]
    asked, refused = settings(), settings(few_steps=False)
    assert np.array_equal(
        plain(scene, references, asked).frames, pipeline(scene, references, refused).frames
    )
    guided = settings(guidance_scale=2.0)
    assert len(plain(scene, references, guided).frames) == 6
