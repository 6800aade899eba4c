"""The training benchmark counts what it runs, and its table follows from what it timed."""

import pytest

from benchmarks import training


@pytest.mark.parametrize("more", [[], ["--compile"]], ids=["plain", "compiled"])
def test_every_size_is_timed_against_its_own_operations(monkeypatch, capsys, more):
    monkeypatch.setattr(training, "SIZES", ((64, 1), (128, 1)))
    monkeypatch.setattr(training, "compile_blocks", lambda _: None)  # minutes on a CPU
    assert training.main(["--rows", "1", "--steps", "1", *more]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split("|")[1:-1] for line in lines if line.startswith("| ") and "wide" in line]
    assert len(rows) == 2 * (1 + len(more))
    assert ["compiled" in row[0] for row in rows] == [False, True][: 1 + len(more)] * 2
    step, floor = ([float(row[column]) for row in rows] for column in (2, 3))
    shares = [float(row[4].strip(" %")) / 100 for row in rows]
    assert all(
        s == pytest.approx(f / t, abs=0.03) for s, f, t in zip(shares, floor, step, strict=True)
    )
    assert floor[-1] > 1.5 * floor[0]
