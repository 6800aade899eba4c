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
    fused, libraries = ([float(row[n].strip(" %")) / 100 for row in rows] for n in (5, 6))
    assert all(0 < less <= more <= 1 for less, more in zip(libraries, fused, strict=True))


def test_what_another_machine_could_reach_is_counted_without_timing(monkeypatch, capsys):
    for name, value in {"ROWS": 4, "COLUMNS": 4}.items():
        monkeypatch.setattr(training, name, value)
    rates = ("1000", "1000000000")
    assert training.main(["--rows", "2", "--larger", "--count", *rates]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 192 wide")]
    assert len(rows) == 3
    assert all("| - |" in row and row.endswith("| 100% | 100% |") for row in rows)


def test_products_are_bound_by_arithmetic_or_by_memory():
    """A product of 2 x 3 and 3 x 4 in float32: 48 operations, 26 numbers read or written."""
    work = roofline.work_of(lambda: torch.ones(2, 3).mm(torch.ones(3, 4)).add(1))
    assert work.products == ((2 * 2 * 3 * 4, 4 * (6 + 12 + 8)),)
    assert work.between == 4 * (6 + 12)
    assert work.seconds(rate=48.0, bandwidth=1e9, fused=True) == pytest.approx(1.0)
    assert work.seconds(rate=1e9, bandwidth=104.0, fused=True) == pytest.approx(1.0)
    assert work.seconds(rate=48.0, bandwidth=144.0) == pytest.approx(1.0 + 1.0)
    assert work.operations == 48


def test_what_a_product_made_or_has_been_counted_is_not_made_in_between():
    a, b = torch.ones(3, 3), torch.ones(3, 3)

    def step():
        once = a.mm(b)
        twice = once.mm(b)
        twice.relu().mm(a)

    assert roofline.work_of(step).between == 4 * (9 + 9 + 9)  # a, b and what relu made


def test_a_sum_counts_where_it_is_read_again_after_a_product():
    a, b = torch.ones(3, 3), torch.ones(3, 3)

    def step():
        residual = a + b
        gone = a + b
        (residual + gone.relu().mm(b)).relu()
        residual.relu()  # counted once

    assert roofline.work_of(step).carried == 4 * 9


def test_attention_on_a_cpu_is_a_product_forwards_and_backwards():
    queries = [torch.randn(1, 2, 16, 64, requires_grad=True) for _ in range(3)]

    def step():
        torch.nn.functional.scaled_dot_product_attention(*queries).sum().backward()

    forwards = 2 * 2 * (2 * 16 * 16 * 64)
    assert roofline.work_of(step).operations == pytest.approx(forwards * (1 + 2.5))
