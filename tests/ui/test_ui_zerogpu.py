"""The page's own runs across the border of a ZeroGPU worker; see zerogpu_page.py."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from idvid.runtime.zerogpu import MAX_RESERVED_S, MIN_RESERVED_S

PAGE = Path(__file__).with_name("zerogpu_page.py")
ROOT = PAGE.parents[2]


@pytest.fixture(scope="module")
def space(vace_folder):
    """What came back from the page of a Space in miniature."""
    if importlib.util.find_spec("spaces") is None:
        pytest.skip("needs the package spaces, which is installed on ZeroGPU Spaces")
    done = subprocess.run(
        [sys.executable, PAGE, vace_folder, ROOT / "examples" / "scenes" / "two_friends.json"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "RESULT" in done.stdout, done.stderr
    return json.loads(done.stdout.rpartition("RESULT")[2])


def test_windows_of_both_methods_stream_from_a_worker(space):
    assert space["chunks"] == ["none", "locks"] * 3
    assert space["frames"] == [16, 16]
    assert space["steps"] == list(range(1, 13))
    assert space["passes_here"] == 0, "the model computed in the process of the page"


def test_frames_are_those_of_a_run_without_a_border(space):
    assert space["alike"]
    assert space["passes_here_at_the_end"] == 6, "of the run that they were compared with"


def test_a_stop_keeps_what_is_there_and_gives_the_gpu_back(space):
    assert space["stopped"] == ["Measured", "Finished", "Ended"]
    assert space["stopped_chunks"] == 1
    assert space["released"] == 2


def test_a_refusal_keeps_its_sentence(space):
    kind, sentence = space["refused"]
    assert kind == "InputError"
    assert "no method 'nobody'" in sentence


def test_another_model_is_refused_before_anything_is_fetched(space):
    kind, sentence = space["other_model"]
    assert kind == "ModelError"
    assert sentence.startswith("This Space keeps model in memory")


def test_a_client_of_the_served_page_gets_windows(space):
    stages, last = space["api"]
    assert last == "end"
    assert (stages["step"], stages["chunk"], stages["done"]) == (6, 3, 1)


def test_every_run_borrows_the_gpu_once_for_a_time_of_its_own(space):
    one, two = space["seconds"][1], space["seconds"][0]
    assert len(space["seconds"]) == 5
    assert MIN_RESERVED_S <= one < two <= 1.5 * MAX_RESERVED_S
    assert two == pytest.approx(2 * one, rel=0.05), "two methods take twice as long"
