"""Laws of what the command line asks of a model."""

from pathlib import Path

import pytest

from idvid.commands import Generation, _suited
from idvid.config import FEW_STEPS, FULL_STEPS
from idvid.pipeline.backend import MINI, MINI_FEW


@pytest.mark.parametrize(
    ("asked", "steps", "few"),
    [
        ({}, FEW_STEPS, True),
        ({"full": True}, FULL_STEPS, False),
        ({"guidance_scale": 2.0}, FULL_STEPS, True),  # which the fast model cannot
        ({"num_steps": 9}, 9, True),
        ({"full": True, "num_steps": 4}, 4, False),
    ],
)
def test_the_fast_model_makes_the_clip_unless_more_is_asked_for(asked, steps, few):
    usual = {"num_steps": None, "guidance_scale": None, "full": False}
    request = Generation(
        scene_file=Path("scene.json"),
        settings=(),
        seed=None,
        model=None,
        judge="bundled",
        out=Path("out"),
        **usual | asked,
    )
    suited = _suited(request, MINI_FEW)
    assert (suited["num_steps"], suited["few_steps"]) == (steps, few)
    assert _suited(request, MINI)["num_steps"] == asked.get("num_steps", FULL_STEPS)
