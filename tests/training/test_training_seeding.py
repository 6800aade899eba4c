"""Laws of seeds: splits that never meet, and people who are in one kind of data alone."""

import pytest

from idvid.errors import SeedError
from idvid.people.seeds import split_of
from idvid.training.feeder import _FACE_VALIDATION
from idvid.training.presets import CPU, H200
from idvid.training.seeding import MAX_PEOPLE, detail_seed, max_clips, person_seeds, scene_seed
from idvid.training.shards import _FIRST_CUTOUTS, _FIRST_FACE_CLIP, _FIRST_SERIES
from tools.gpu_session import SETTINGS


def test_the_fourth_person_leaves_the_people_of_older_clips_alone():
    assert person_seeds("train", 7, 4)[:3] == [21, 22, 23]
    assert person_seeds("train", 199_999, 4) == [599_997, 599_998, 599_999, 799_999]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_seeds_stay_in_their_split_and_nobody_appears_twice(split):
    people = [seed for clip in range(50) for seed in person_seeds(split, clip, MAX_PEOPLE)]
    assert len(set(people)) == 200
    details = [detail_seed(split, number) for number in (0, 49_999, 10**7)]
    scenes = [scene_seed(split, clip) for clip in range(50)]
    assert {split_of(seed) for seed in people + details + scenes} == {split}


def test_a_split_never_runs_into_the_next_one():
    with pytest.raises(SeedError, match="fewer clips"):
        person_seeds("train", 300_000, 1)
    with pytest.raises(SeedError, match="fewer clips"):
        scene_seed("validation", 50_000)


@pytest.mark.parametrize("data", [CPU.data, H200.data, SETTINGS.data])
def test_kinds_whose_people_are_nobody_elses_have_clip_numbers_of_their_own(data):
    """In both presets and in a GPU session: clips, then faces, series and cut-outs."""
    kinds = (_FIRST_FACE_CLIP, _FIRST_SERIES, _FIRST_CUTOUTS)
    shards: dict[str, tuple[int, ...]] = {
        "train": (
            data.first_shard + data.num_shards,
            data.num_face_shards,
            data.num_series_shards,
            data.num_cutout_shards,
        ),
        "validation": (data.num_validation_shards, *(_FACE_VALIDATION for _ in kinds)),
    }
    for split, counts in shards.items():
        starts = [0, *(kind[split] for kind in kinds), max_clips(split)]
        for start, count, after in zip(starts, counts, starts[1:], strict=False):
            assert start + count * data.clips_per_shard <= after
