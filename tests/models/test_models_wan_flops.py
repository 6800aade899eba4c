"""Identity attention is nearly free: the public sizes, counted on the meta device."""

import pytest

from benchmarks.wan_flops import count


@pytest.mark.parametrize("model", ["T2V-1.3B", "T2V-14B"])
def test_two_people_of_sixteen_tokens_cost_a_thousandth_at_most(model):
    found = count(model)
    assert 0.0001 < found.extra <= 0.001
    assert found.base > {"T2V-1.3B": 250e12, "T2V-14B": 1500e12}[model]
