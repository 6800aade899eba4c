"""Drift figures: they draw whatever the report holds, and touch nothing global."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from idvid.metrics.plots import COLOURS, write_comparison, write_figure
from idvid.types import CharacterDrift, DriftReport


def drift(name, series, **changes):
    found = [value for value in series if value is not None]
    numbers = {
        "presence": len(found) / len(series),
        "id_sim_mean": float(np.mean(found)) if found else None,
        "drift_15": 0.1 if found else None,
        "drift_slope": -0.02,
        "temporal": 0.01,
        "id_margin": 0.6,
        "swap_rate": 0.25,
        "bleed": 0.0,
        "expression_range": 0.1,
        "ceiling": 0.85,
        "floor": 0.05,
    }
    points = tuple((t / 12, value) for t, value in enumerate(series))
    return CharacterDrift(name=name, series=points, **(numbers | changes))


def report(*characters):
    return DriftReport(
        fps=12.0, frames=24, judge_name="j", judge_sha256="0", occm=100.0, characters=characters
    )


FALLING = [0.8 - 0.02 * t for t in range(24)]
GAP = FALLING[:6] + [None] * 6 + FALLING[12:]


def has_colour(path, colour):
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    return int((np.abs(pixels - wanted).max(axis=-1) < 12).sum())


@pytest.mark.parametrize("name", ["Ana", "$x^{2", "a$b$c", "Zoë 李 مر", "new\nline", "w" * 40, "$"])
def test_any_name_is_drawn_as_it_is(name, tmp_path):
    write_figure(report(drift(name, FALLING)), tmp_path / "f.png", title=name)
    assert has_colour(tmp_path / "f.png", COLOURS[0]) > 200


def test_the_curve_has_a_gap_and_the_missing_frames_are_marked(tmp_path):
    write_figure(report(drift("Ana", FALLING)), tmp_path / "whole.png")
    write_figure(report(drift("Ana", [None] * 24)), tmp_path / "none.png")
    write_figure(report(drift("Ana", GAP)), tmp_path / "gap.png")
    blue = COLOURS[0]
    assert 0 < has_colour(tmp_path / "gap.png", blue) < has_colour(tmp_path / "whole.png", blue)
    with Image.open(tmp_path / "none.png") as none, Image.open(tmp_path / "gap.png") as gap:
        assert none.size == gap.size
    faded = "#4095c5"  # the marks' blue, three quarters of it over white
    marked, edges = (has_colour(tmp_path / f"{name}.png", faded) for name in ("gap", "whole"))
    assert marked > 3 * edges


def test_eight_characters_and_bare_numbers(tmp_path):
    bare = {"ceiling": None, "floor": None, "swap_rate": None, "drift_15": None}
    write_figure(report(*(drift(f"P{k}", GAP, **bare) for k in range(8))), tmp_path / "f.png")
    with Image.open(tmp_path / "f.png") as picture:
        assert picture.height > 1200


def test_a_comparison_has_a_colour_per_method(tmp_path):
    low = [0.1] * 24
    reports = {
        "none $": report(drift("Ana", low), drift("Bo", low)),
        "locks": report(drift("Ana", FALLING), drift("Bo", GAP)),
    }
    write_comparison(reports, tmp_path / "c.png")
    assert all(has_colour(tmp_path / "c.png", colour) > 200 for colour in COLOURS[:2])
    assert has_colour(tmp_path / "c.png", COLOURS[2]) < 20


def test_two_threads_draw_the_same_as_one(tmp_path):
    paths = [tmp_path / f"{k}.png" for k in range(4)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda path: write_figure(report(drift("Ana", GAP)), path), paths))
    pictures = [path.read_bytes() for path in paths]
    assert pictures == pictures[:1] * 4


def test_importing_the_metrics_loads_no_pyplot_and_no_torch():
    code = (
        "import sys, idvid.metrics.report, idvid.metrics.plots;"
        "print({'matplotlib.pyplot', 'torch', 'dlib', 'scipy.stats'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
