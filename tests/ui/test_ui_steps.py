"""Which steps a run is asked for: what suits the model unless a number is given."""

from __future__ import annotations

import pytest

from idvid.config import DEFAULTS
from idvid.ui.intake import SettingsRequest


def test_no_number_is_no_choice():
    chosen = SettingsRequest.model_validate({}).model_dump(exclude_none=True)
    assert "num_steps" not in chosen
    assert chosen["few_steps"] == DEFAULTS.few_steps


@pytest.mark.parametrize("few", [True, False])
def test_a_number_is_kept_and_the_fast_model_can_be_kept_out(few):
    asked = {"num_steps": 4, "few_steps": few}
    chosen = SettingsRequest.model_validate(asked).model_dump(exclude_none=True)
    assert (chosen["num_steps"], chosen["few_steps"]) == (4, few)
