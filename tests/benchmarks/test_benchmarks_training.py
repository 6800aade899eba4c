"""The training benchmark counts what it runs, and its table follows from what it timed."""

import pytest

from benchmarks import training


def test_every_size_is_timed_against_its_own_operations(monkeypatch, capsys):
    small = {"SIZES": ((64, 1), (128, 1)), "ROWS": 4, "COLUMNS": 4, "FRAMES": 2}
    for name, value in small.items():
        monkeypatch.setattr(training, name, value)
    monkeypatch.setattr(training, "compile_blocks", lambda _: None)  # minutes on a CPU
    assert training.main(["--rows", "1", "--steps", "1", "--compile"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split("|")[1:-1] for line in lines if line.startswith("| ") and "wide" in line]
    assert ["compiled" in row[0] for row in rows] == [False, True, False, True]
    step, floor = ([float(row[column]) for row in rows] for column in (2, 3))
    shares = [float(row[4].strip(" %")) / 100 for row in rows]
    assert all(
        s == pytest.approx(f / t, abs=0.03) for s, f, t in zip(shares, floor, step, strict=True)
    )
    assert floor[-1] > 1.5 * floor[0]
