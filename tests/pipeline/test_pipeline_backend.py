"""Laws of what suits a backend."""

import pytest

from idvid.config import FEW_STEPS, FULL_GUIDANCE, FULL_STEPS, GenerationSettings
from idvid.pipeline.backend import MINI, MINI_FEW, suited


@pytest.mark.parametrize(
    ("few", "num_steps", "guidance", "expected"),
    [
        (True, None, None, (FEW_STEPS, 1.0)),
        (True, FEW_STEPS, 1.0, (FEW_STEPS, 1.0)),
        (False, None, None, (FULL_STEPS, FULL_GUIDANCE)),
        (True, None, 2.0, (FULL_STEPS, 2.0)),  # guidance is the full model's alone
        (True, 9, None, (9, FULL_GUIDANCE)),
        (True, 9, 1.0, (9, 1.0)),
        (False, 4, None, (4, FULL_GUIDANCE)),
    ],
)
def test_the_student_makes_the_clip_unless_more_is_asked_for(few, num_steps, guidance, expected):
    settings = GenerationSettings(few_steps=few)
    chosen = suited(MINI_FEW, settings, num_steps, guidance)
    assert (chosen.num_steps, chosen.guidance_scale) == expected
    assert chosen.few_steps == few
    alone = suited(MINI, settings, num_steps, guidance)
    assert alone.num_steps == (num_steps or FULL_STEPS)
    assert alone.guidance_scale == (guidance or FULL_GUIDANCE)
