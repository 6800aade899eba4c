"""Laws of the border that a run crosses on a ZeroGPU Space."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from idvid import runtime
from idvid.config import GenerationSettings
from idvid.runtime.zerogpu import MAX_RESERVED_S, MIN_RESERVED_S, Pace, gpu_seconds

SPACE = Path(__file__).with_name("zerogpu_space.py")
PACE = Pace(step_s=2.0, window_s=5.0, start_s=10.0)


def task():
    yield 1


@pytest.mark.parametrize("value", [None, "", "false", "0"])
def test_outside_a_space_a_gpu_task_is_the_function_itself(monkeypatch, value):
    if value is None:
        monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    else:
        monkeypatch.setenv("SPACES_ZERO_GPU", value)
    assert runtime.gpu_task(duration_s=60)(task) is task


def test_the_time_reserved_follows_the_settings():
    plain = GenerationSettings(num_steps=10)
    guided = GenerationSettings(num_steps=10, guidance_scale=5.0)
    assert gpu_seconds(plain, 2, PACE) == math.ceil((10 + 2 * (5 + 10 * 2)) * 1.2)
    assert gpu_seconds(guided, 2, PACE) == math.ceil((10 + 2 * (5 + 20 * 2)) * 1.2)
    assert gpu_seconds(plain, 100, PACE) == MAX_RESERVED_S
    quick = Pace(step_s=0.01, window_s=0.1, start_s=0.1)
    assert gpu_seconds(plain, 1, quick) == MIN_RESERVED_S


@pytest.fixture(scope="module")
def space():
    """What came back from a Space in miniature."""
    if importlib.util.find_spec("spaces") is None:
        pytest.skip("needs the package spaces, which is installed on ZeroGPU Spaces")
    done = subprocess.run(
        [sys.executable, str(SPACE)],
        cwd=SPACE.parents[2],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert "RESULT" in done.stdout, done.stderr
    return json.loads(done.stdout.rpartition("RESULT")[2])


def test_arrays_cross_from_a_worker_of_its_own(space):
    run = space["none"]
    assert run["events"] == ["StepDone", "WindowDone", "WindowDone"]
    assert run["error"] is None
    assert run["own"] not in run["pixel"], "the frames were made in another process"


def test_our_errors_cross_with_their_sentence(space):
    run = space["ours"]
    assert run["events"] == ["StepDone", "WindowDone"]
    assert run["error"] == ["ModelError", "The model does not fit; choose a smaller one."]


def test_a_path_does_not_cross(space):
    run = space["path"]
    assert run["events"] == ["StepDone"]
    assert run["error"][0] == "Error", "gradio's, with the bare name of an AssertionError"


def test_a_reader_who_leaves_stops_the_worker(space):
    assert space["stopped"]
    assert space["name"] == ["generate", "What a run yields."]


def test_the_gpu_is_asked_for_as_long_as_the_settings_need(space):
    asked = [float(s) for s in space["seconds"]]
    plain = gpu_seconds(GenerationSettings(num_steps=10), 2, PACE)
    assert asked[:3] == [asked[0]] * 3
    assert asked[0] >= plain  # `spaces` counts the seconds of slower cards for more
    assert asked[3] / asked[0] == pytest.approx(MAX_RESERVED_S / plain, rel=0.02)
    assert {"/schedule", "/allow", "/release"} <= set(space["paths"])
