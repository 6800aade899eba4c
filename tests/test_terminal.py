"""The line of a download: in a file only news, on a terminal one line that is rewritten."""

import sys

import pytest

from idvid.hub import DownloadProgress
from idvid.terminal import DownloadLine


def step(done, note="", total=1000):
    return DownloadProgress(
        repo="who/model", file_name="vae/model.safetensors", bytes_done=done, bytes_total=total,
        files_done=0, files_total=3, note=note,
    )  # fmt: skip


@pytest.fixture
def lines(capsys):
    def show(*steps):
        line = DownloadLine()
        for each in steps:
            line.show(each)
        line.end()
        return capsys.readouterr().err

    return show


def test_in_a_file_a_line_stands_for_every_twentieth_and_every_note(lines):
    text = lines(*(step(done) for done in range(0, 1001, 10)))
    assert len(text.splitlines()) == 21 + 1
    assert "download:  50% of 1.0 kB, " in text
    assert "/s, 0 s left, vae/model.safetensors" in text
    noted = lines(step(10), step(10, "The Hub is busy."), step(10, "The Hub is busy."), step(11))
    assert noted.count("The Hub is busy.") == 1


def test_on_a_terminal_the_line_is_rewritten(lines, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    text = lines(step(10), step(11), step(12))
    assert text.count("\r") == 4
    assert text.count("\n") == 1


def test_a_hub_that_has_not_answered_and_a_model_that_is_here_show_nothing(lines):
    assert lines(step(0, total=0)) == ""
    assert lines() == ""
