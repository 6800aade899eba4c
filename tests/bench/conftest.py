"""Two test people with all their photos, drawn once."""

import pytest


@pytest.fixture(scope="session")
def cast():
    from idvid.bench.cast import make_cast
    from idvid.bench.photos import MOST_PHOTOS

    return make_cast(2, MOST_PHOTOS)


@pytest.fixture(scope="session")
def scene(cast):
    from idvid.bench.scenes import make_scenes
    from idvid.bench.settings import Stage

    (only,) = make_scenes(cast, Stage(people=2, pairs=1, trios=0, seconds=1.0))
    return only
