"""The seed law, and that importing the package is cheap."""

import subprocess
import sys

import pytest

from idvid.errors import SeedError
from idvid.people.seeds import check_seed, split_of


@pytest.mark.parametrize("seed", [-1, 1_000_000, 2**31])
def test_seeds_outside_the_ranges_are_refused(seed):
    with pytest.raises(SeedError, match=str(seed)):
        check_seed(seed)
    with pytest.raises(SeedError):
        split_of(seed)


@pytest.mark.parametrize(
    ("seed", "split"),
    [
        (0, "train"),
        (899_999, "train"),
        (900_000, "validation"),
        (949_999, "validation"),
        (950_000, "test"),
        (999_999, "test"),
    ],
)
def test_ranges_are_the_ones_of_the_design(seed, split):
    assert check_seed(seed) == seed
    assert split_of(seed) == split


def test_every_entrance_refuses_a_wrong_seed():
    from idvid.people import sample_person, sample_scene

    for entrance in (sample_person, sample_scene):
        with pytest.raises(SeedError):
            entrance(1_000_000)


def test_import_loads_no_renderer():
    code = "import sys, idvid.people; print(sorted({'numba', 'scipy', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
