"""The training benchmark counts what it runs, and its table follows from what it timed."""

import pytest
import torch

from benchmarks import roofline, training


def test_every_size_is_timed_against_its_own_operations(monkeypatch, capsys):
    small = {"LARGER": {384: 8}, "ROWS": 4, "COLUMNS": 4}
    for name, value in small.items():
        monkeypatch.setattr(training, name, value)
    monkeypatch.setattr(training, "compile_blocks", lambda *_: None)  # minutes on a CPU
    assert training.main(["--rows", "2", "--steps", "1", "--compile", "--profile"]) == 0
    said = capsys.readouterr().out
    assert said.count("Self CPU time total") == 1
    lines = said.splitlines()
    rows = [line.split("|")[1:-1] for line in lines if line.startswith("| ") and "wide" in line]
    assert ["compiled" in row[0] for row in rows] == [False, True] * 4
    batches = [row[1].strip() for row in rows[::2]]
    assert batches == ["2 x 8", "1 x 16", "16 x 1", "1 x 8"]
    step, floor = ([float(row[column]) for row in rows] for column in (2, 3))
    shares = [float(row[4].strip(" %")) / 100 for row in rows]
    assert all(
        s == pytest.approx(f / t, abs=0.03) for s, f, t in zip(shares, floor, step, strict=True)
    )
    assert floor[-1] > 1.5 * floor[0]
    most = [float(row[5].strip(" %")) / 100 for row in rows]
    assert all(0 < share <= 1 for share in most)


def test_products_are_bound_by_arithmetic_or_by_memory():
    """A product of 2 x 3 and 3 x 4 in float32: 48 operations, 26 numbers read or written."""
    work = roofline.work_of(lambda: torch.ones(2, 3).mm(torch.ones(3, 4)).add(1))
    assert work.products == ((2 * 2 * 3 * 4, 4 * (6 + 12 + 8)),)
    assert work.seconds(rate=48.0, bandwidth=1e9) == pytest.approx(1.0)
    assert work.seconds(rate=1e9, bandwidth=104.0) == pytest.approx(1.0)
    assert work.operations == 48
