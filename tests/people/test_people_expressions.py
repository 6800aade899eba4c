"""What is recorded of faces: it says what the actors were asked to do, whoever plays."""

from dataclasses import replace

import numpy as np
import pytest

from idvid.config import EXPRESSION
from idvid.people import sample_scene, trace_expressions

SEED = 950_000  # a test seed


def acting(expression="neutral", action="still"):
    """Columns (T,) by name of somebody who does this and nothing else, from the first frame on."""
    scene = sample_scene(SEED, 1, 24, 12.0)
    actor = replace(
        scene.actors[0],
        expression_start=expression,
        expression_end=expression,
        expression_strength=1.0,
        action=action,
        action_start_s=-1.0,
        blinks_s=(),
    )
    traced = trace_expressions(replace(scene, actors=(actor,)))
    assert traced.shape == (1, 24, len(EXPRESSION))
    return dict(zip(EXPRESSION, traced[0].T, strict=True))


@pytest.mark.parametrize(
    ("expression", "column"),
    [
        ("smiling", "smile"),
        ("grinning", "smile"),
        ("frowning", "brow_lower"),
        ("frowning", "frown"),
        ("surprised", "brow_raise"),
        ("surprised", "jaw_open"),
        ("sad", "frown"),
    ],
)
def test_an_expression_is_recorded_and_a_neutral_face_has_none(expression, column):
    assert acting(expression)[column].min() > 0.3
    assert np.abs(acting()[column]).max() < 0.01


def test_a_mouth_that_talks_opens_and_closes():
    jaw = acting(action="talking")["jaw_open"]
    assert jaw.max() > 0.15
    assert (np.diff(np.sign(np.diff(jaw))) != 0).sum() > 3


def test_wide_eyes_are_negative_lids_and_a_look_aside_is_a_gaze():
    assert acting("surprised")["lids_close"].max() < -0.3
    left, right = (
        acting(action=f"looking_{side}")["gaze_right"].mean() for side in ("left", "right")
    )
    assert left < -0.1 < 0.1 < right
