"""Laws of what suits a backend."""

import pytest

from idvid.config import FEW_STEPS, FULL_STEPS, GenerationSettings
from idvid.pipeline.backend import MINI, MINI_FEW, suited


@pytest.mark.parametrize(
    ("few", "num_steps", "guidance", "expected"),
    [
        (True, None, None, FEW_STEPS),
        (False, None, None, FULL_STEPS),
        (True, None, 2.0, FULL_STEPS),  # guidance is the full model's alone
        (True, 9, None, 9),
        (False, 4, None, 4),
    ],
)
def test_the_student_makes_the_clip_unless_more_is_asked_for(few, num_steps, guidance, expected):
    settings = GenerationSettings(few_steps=few)
    chosen = suited(MINI_FEW, settings, num_steps, guidance)
    assert (chosen.num_steps, chosen.few_steps) == (expected, few)
    assert chosen.guidance_scale == (guidance or MINI_FEW.guidance_scale)
    assert suited(MINI, settings, num_steps, guidance).num_steps == (num_steps or FULL_STEPS)
