"""Laws of distillation: what a segment teaches, on fields that can be written down, and the stage."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from idvid.config import FEW_STEPS
from idvid.errors import ModelError
from idvid.models.checkpoint import STUDENT, load_part, save_part
from idvid.models.video_transformer import VideoTransformer
from idvid.pipeline.denoise import denoise, euler, follow
from idvid.training.distil_stage import DistilStage
from idvid.training.loop import RunSettings, train
from idvid.training.segments import Material, lessons, one_step_target, segments
from idvid.training.stage import write_parts
from idvid.training.state import load_state
from idvid.training.teacher import first_student
from idvid.training.video_stage import VideoStage

SUB_STEPS = 3
STARTS = ("data", "teacher", "student")


def material(finished=2):
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(2, 3, 4, 2, 2, generator=generator) for _ in range(2))
    return Material(
        clean=clean, noise=noise, finished=torch.randn(2, finished, 4, 2, 2, generator=generator)
    )


def straight(given):
    """The prediction of a flow in which every noise has its own clean value, here `given.clean`."""

    def predict(noisy, level):
        return torch.cat([given.finished, given.clean], dim=1)

    return predict


def curved(noisy, level):
    return torch.tanh(3 * noisy) + 4 * level[:, :, None, None, None]


def test_a_student_starts_where_an_older_one_was_moved_by_what_its_teacher_learnt(tmp_path):
    torch.manual_seed(0)
    sizes = {"width": 64, "depth": 1, "latent_channels": 4}
    before, student, teacher = (VideoTransformer.from_config(sizes) for _ in range(3))
    save_part(before, tmp_path / "older" / "transformer")
    save_part(student, tmp_path / "older" / STUDENT)
    moved = first_student(teacher, (tmp_path / "nothing", tmp_path / "older")).state_dict()
    for name, weights in moved.items():
        old = [part.state_dict()[name].half().float() for part in (student, before)]
        torch.testing.assert_close(weights, old[0] + teacher.state_dict()[name] - old[1])
    other = VideoTransformer.from_config(sizes | {"depth": 2})
    fresh = first_student(other, (tmp_path / "older",)).state_dict()
    assert all(torch.equal(weights, other.state_dict()[name]) for name, weights in fresh.items())


@pytest.mark.parametrize("start", STARTS)
def test_a_straight_flow_teaches_its_clean_value_everywhere(start):
    given = material()
    teacher = straight(given)
    taught = list(lessons(given, teacher, teacher, start, segments(FEW_STEPS, SUB_STEPS)))
    assert len(taught) == FEW_STEPS
    for lesson in taught:
        assert torch.allclose(lesson.target, given.clean, atol=1e-5)


def test_a_curved_flow_teaches_the_chord():
    given = material(finished=0)
    for steps in segments(FEW_STEPS, SUB_STEPS):
        first, last = steps[0], steps[-1]
        *_, goal = follow(given.noise, given.finished, curved, steps)
        target = one_step_target(given.noise, goal, first, last)
        velocity = (target - given.noise) / (1 - first)
        assert torch.allclose(velocity, (goal - given.noise) / (last - first), atol=1e-5)
        assert torch.allclose(euler(given.noise, target, first, last), goal, atol=1e-5)
        tangent = curved(given.noise, torch.full((2, 3), float(first)))
        assert (target - tangent).abs().max() > 0.1  # one of the teacher's steps is no answer


def test_a_perfect_student_ends_where_its_teacher_does():
    """The student's own steps are the ends of the segments, so nothing is lost between them."""
    given = material()
    *_, expected = denoise(given.noise, given.finished, curved, FEW_STEPS * SUB_STEPS)
    parts = segments(FEW_STEPS, SUB_STEPS)
    taught = lessons(given, curved, curved, "teacher", parts)
    answers = {round(lesson.level, 4): lesson.target for lesson in taught}

    def student(noisy, level):
        return torch.cat([given.finished, answers[round(float(level[0, -1]), 4)]], dim=1)

    *_, made = denoise(given.noise, given.finished, student, FEW_STEPS)
    assert torch.allclose(made, expected, atol=1e-4)


def test_segments_start_where_they_are_told_to():
    given = material(finished=0)
    seen = {start: [] for start in STARTS}

    def watching(start):
        def student(noisy, level):
            seen[start].append(noisy)
            return noisy * 0.5

        return student

    for start in STARTS:
        list(lessons(given, curved, watching(start), start, segments(FEW_STEPS, SUB_STEPS)))
    path = list(denoise(given.noise, given.finished, curved, FEW_STEPS * SUB_STEPS))
    own = list(denoise(given.noise, given.finished, lambda noisy, _: noisy * 0.5, FEW_STEPS))
    level = float(segments(FEW_STEPS, SUB_STEPS)[1][0])
    assert all(torch.equal(seen[start][0], given.noise) for start in STARTS)
    assert torch.allclose(seen["teacher"][1], path[SUB_STEPS - 1], atol=1e-5)
    assert torch.allclose(seen["student"][1], own[0], atol=1e-5)
    mixed = level * given.clean + (1 - level) * given.noise
    assert torch.allclose(seen["data"][1], mixed, atol=1e-5)


def test_finished_frames_stay_clean_and_are_not_taught():
    given = material(finished=2)

    def student(noisy, level):
        assert torch.equal(noisy[:, :2], given.finished)
        assert (level[:, :2] == 1).all()
        assert (level[:, 2:] < 1).all()
        return noisy

    for lesson in lessons(given, curved, student, "student", segments(FEW_STEPS, SUB_STEPS)):
        assert lesson.target.shape == given.clean.shape


@pytest.fixture(scope="session")
def taught_sources(tiny, sources, tmp_path_factory):
    """The sources of a stage whose teacher has random weights and open gates."""
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(0)
    model = VideoStage(tiny, sources, "cpu").model
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.05)
    write_parts(folder, **{name: model.get_submodule(name) for name in model})
    return replace(sources, starts=(folder,))


def distil_stage(tiny, sources, **changes):
    return DistilStage(replace(tiny, distil=replace(tiny.distil, **changes)), sources, "cpu")


def test_a_killed_distillation_resumes_bit_for_bit(tiny, taught_sources, tmp_path):
    def run(name, resume=False):
        return RunSettings(folder=tmp_path / name, model_folder=tmp_path / "m", resume=resume)

    halves = replace(tiny.distil.optimiser, muon=True)
    whole = distil_stage(tiny, taught_sources, optimiser=halves)
    train(whole, run("whole"))
    half = replace(halves, num_steps=2)
    train(distil_stage(tiny, taught_sources, optimiser=half), run("cut"))
    resumed = distil_stage(tiny, taught_sources, optimiser=halves)
    resumed.model.apply(lambda m: m.reset_parameters() if isinstance(m, nn.Linear) else None)
    train(resumed, run("cut", resume=True))

    one, two = load_state(tmp_path / "whole")[0], load_state(tmp_path / "cut")[0]
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


def test_distilling_brings_the_student_nearer_and_leaves_the_teacher(
    tiny, taught_sources, tmp_path
):
    optimiser = replace(
        tiny.distil.optimiser, num_steps=30, learning_rate=5e-3, ema_decay=0.8, checkpoint_every=30
    )
    stage = distil_stage(tiny, taught_sources, optimiser=optimiser)
    before = {name: value.clone() for name, value in stage.teacher.parts.state_dict().items()}
    folder = tmp_path / "model"
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        first = stage.validate(stage.model, tmp_path / "first.png")
    last = train(stage, RunSettings(folder=tmp_path / "run", model_folder=folder))
    assert last["gap"] < 0.8 * first["gap"]
    after = stage.teacher.parts.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert load_part(STUDENT, folder / STUDENT).config["width"] == tiny.video.width
    assert sorted(path.name for path in folder.iterdir()) == [STUDENT]
    write_parts(folder, transformer=stage.teacher.transformer.float())
    assert not (folder / STUDENT).exists()  # another teacher's student would be worse than none


def test_without_a_teacher_it_is_refused(tiny, sources, tmp_path):
    with pytest.raises(ModelError, match="train the stage 'video' first"):
        distil_stage(tiny, replace(sources, starts=(tmp_path,)))
