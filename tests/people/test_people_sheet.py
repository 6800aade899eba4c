"""What `python -m idvid people` writes."""

import numpy as np
import pytest
from PIL import Image

from idvid.errors import InputError, SeedError
from idvid.people.sheet import contact_sheet, write_people


def test_portraits_sheet_and_descriptions_are_written(tmp_path):
    written = write_people(950_000, 2, tmp_path / "out")
    assert [path.name for path in written] == [
        "person_950000.png",
        "person_950001.png",
        "sheet.png",
        "people.txt",
    ]
    assert Image.open(written[2]).size == (512, 256)
    assert written[3].read_text(encoding="utf-8").count("\n") == 2


def test_a_sheet_pads_its_last_row_with_white():
    sheet = contact_sheet([np.zeros((4, 4, 3), np.uint8)] * 7)
    assert sheet.shape == (8, 24, 3)
    assert (sheet[4:, 4:] == 255).all()
    assert (sheet[:4] == 0).all()


def test_wrong_orders_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError):
        write_people(0, 0, tmp_path / "out")
    with pytest.raises(SeedError):
        write_people(999_999, 2, tmp_path / "out")
    assert not (tmp_path / "out").exists()
