"""The data card counts plans of clips and people of shards."""

import numpy as np

from idvid.training.records import record_path, write_record
from tools.data_card import card, count_clips, used_people


def test_every_attribute_is_counted_once_per_clip_or_person():
    counts = count_clips(range(12))
    people = sum(int(number) * n for number, n in counts["people in a clip"].items())
    assert counts["place"].total() == counts["camera"].total() == counts["occlusion"].total() == 12
    assert counts["hair"].total() == counts["action"].total() == people
    assert counts["photos"].total() == 5 * people
    text = card(counts, 12, None)
    assert f"12 training clips with {people} people" in text
    assert all(f"| {name} |" in text for name in counts)


def test_people_of_a_run_are_those_of_its_training_shards(tmp_path):
    present = np.array([[True, True, False, False], [True, False, False, False]])
    for name in ("train-00000", "train-00001", "validation-00000"):
        write_record(record_path(tmp_path, name), {"is_person": present}, {})
    assert used_people(tmp_path) == (4, 6)
    assert "4 training clips with 6 people" in card(count_clips(range(2)), 2, (4, 6))
