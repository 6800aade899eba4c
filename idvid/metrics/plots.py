"""Drift figures as PNG files: one panel per character, curve, gaps, ceiling and floor.

Uses matplotlib's objects only, never pyplot: nothing global, so any thread may draw.
"""

from __future__ import annotations

import textwrap
from functools import cache
from typing import TYPE_CHECKING

from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from idvid.types import CharacterDrift, DriftReport

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe-Ito
_INK, _GRID, _CEILING, _FLOOR = "#222222", "#dddddd", "#3f6b3f", "#7a5c48"
_PANEL_IN = (5.2, 3.1)  # width and height of one panel
_BAND_HALF = 0.025  # half height of a band, in id_sim
_TICK_LOW, _TICK_STEP = 0.015, 0.035  # of the panel's height: marks of missing frames
_MISSING = "face missing"
_STYLES = ("-", "--", "-.", ":")
_MORE_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Arial Unicode MS")
_UNKNOWN_LETTER = "\u25a1"
_TITLE_CHARACTERS, _LABEL_CHARACTERS = 90, 40


def write_figure(report: DriftReport, path: Path, title: str | None = None) -> None:
    """Draw one report: a panel per character, its mean and drift in the panel's title."""
    names = [drift.name for drift in report.characters]
    figure, panels = _panels(names, title)
    low = _lowest([report])
    for index, (drift, axes) in enumerate(zip(report.characters, panels, strict=True)):
        _dress(axes, _duration(report), low)
        _draw_bands(axes, drift, _duration(report))
        _draw_curve(axes, drift, 1 / report.fps, (COLOURS[index % len(COLOURS)], "-", 0))
        axes.set_title(f"{_safe(drift.name)}\n{_verdict(drift)}", fontsize=11, color=_INK)
    _save(figure, path)


def write_comparison(
    reports: Mapping[str, DriftReport], path: Path, title: str | None = None
) -> None:
    """Draw several methods' reports of the same scene over each other, a panel per character.

    The bands belong to the photos, so they are the same for every method.

    Args:
        reports: label of a method -> its report; all with the same characters in the same order.
        path: the PNG file.
        title: shown above the panels.
    """
    all_reports = list(reports.values())
    names = [drift.name for drift in all_reports[0].characters]
    figure, panels = _panels(names, title)
    duration, low = max(_duration(report) for report in all_reports), _lowest(all_reports)
    for character, axes in enumerate(panels):
        _dress(axes, duration, low)
        _draw_bands(axes, all_reports[0].characters[character], duration)
        for row, (label, report) in enumerate(reports.items()):
            drift = report.characters[character]
            style = (COLOURS[row % len(COLOURS)], _STYLES[row % len(_STYLES)], row)
            short = _safe(label, _LABEL_CHARACTERS)
            _draw_curve(axes, drift, 1 / report.fps, style, f"{short}: {_verdict(drift)}")
        axes.set_title(_safe(names[character]), fontsize=11, color=_INK)
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=8.5, frameon=False, ncols=1
        )
    _save(figure, path)


def _panels(names: Sequence[str], title: str | None) -> tuple[Figure, list[Axes]]:
    columns = min(len(names), 2)
    rows = -(-len(names) // columns)
    size = (_PANEL_IN[0] * columns, _PANEL_IN[1] * rows + 0.4)
    figure = Figure(figsize=size, dpi=120, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(_safe(title, _TITLE_CHARACTERS), fontsize=13, color=_INK)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    return figure, list(grid.flat[: len(names)])


def _dress(axes: Axes, duration_s: float, low: float) -> None:
    axes.set_xlim(0, duration_s)
    axes.set_ylim(low, 1.02)
    axes.set_xlabel("time (s)", fontsize=9.5, color=_INK)
    axes.set_ylabel("likeness to photos (id_sim)", fontsize=9.5, color=_INK)
    axes.tick_params(labelsize=9, colors=_INK)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_bands(axes: Axes, drift: CharacterDrift, duration_s: float) -> None:
    bands = (
        ("ceiling:\nown photos", drift.ceiling, _CEILING),
        ("floor:\nother people", drift.floor, _FLOOR),
    )
    for label, value, colour in bands:
        if value is None:
            continue
        axes.axhspan(value - _BAND_HALF, value + _BAND_HALF, color=colour, alpha=0.22, linewidth=0)
        place = (duration_s * 1.01, value)
        axes.annotate(label, place, fontsize=8, color=colour, va="center", annotation_clip=False)


def _draw_curve(
    axes: Axes,
    drift: CharacterDrift,
    frame_s: float,
    style: tuple[str, str, int],
    label: str | None = None,
) -> None:
    """The curve with gaps, lone frames as dots, and a mark at the bottom per missing frame."""
    colour, dashes, row = style
    times = [time_s for time_s, _ in drift.series]
    values = [float("nan") if value is None else value for _, value in drift.series]
    axes.plot(
        times, values, dashes, color=colour, linewidth=1.8, marker=".", markersize=3, label=label
    )
    missing = [(time_s, frame_s) for time_s, value in drift.series if value is None]
    bottom = _TICK_LOW + row * _TICK_STEP
    axes.broken_barh(
        missing,
        (bottom, _TICK_STEP * 0.7),
        transform=axes.get_xaxis_transform(),
        color=colour,
        alpha=0.75,
        linewidth=0,
    )
    if missing and not any(text.get_text() == _MISSING for text in axes.texts):
        place = (missing[0][0], bottom + _TICK_STEP)
        axes.annotate(
            _MISSING,
            place,
            xycoords=axes.get_xaxis_transform(),
            fontsize=7.5,
            color=colour,
            va="bottom",
            ha="right" if place[0] > axes.get_xlim()[1] * 0.8 else "left",
        )


def _verdict(drift: CharacterDrift) -> str:
    if drift.id_sim_mean is None:
        return "never found"
    parts = [f"mean {drift.id_sim_mean:.2f}"]
    if drift.drift_15 is not None:
        parts.append(f"drift {drift.drift_15:+.2f}")
    if drift.swap_rate:
        parts.append(f"swapped {drift.swap_rate:.0%}")
    if drift.presence < 1:
        parts.append(f"seen {drift.presence:.0%}")
    return ", ".join(parts)


def _duration(report: DriftReport) -> float:
    return max(report.frames, 1) / report.fps


def _lowest(reports: Sequence[DriftReport]) -> float:
    """Lower end of the axis: the same for all panels, below every value and band."""
    values = [
        value
        for report in reports
        for drift in report.characters
        for value in (*(v for _, v in drift.series), drift.floor)
        if value is not None
    ]
    return min([-0.1, *(value - 0.12 for value in values)])


def _safe(text: str, width: int = 60) -> str:
    """Free text as the fonts can show it: no mathematics, one line, a box for unknown letters."""
    known = _known_letters()
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    short = textwrap.shorten(plain, width, placeholder="...")
    shown = "".join(letter if ord(letter) in known else _UNKNOWN_LETTER for letter in short)
    return shown.replace("$", r"\$")


@cache
def _families() -> tuple[str, ...]:
    """Fonts to look a letter up in: matplotlib's own, then those of this machine's that help."""
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in _MORE_FONTS if name in installed))


@cache
def _known_letters() -> frozenset[int]:
    letters: set[int] = set()
    for family in _families():
        font = font_manager.get_font(font_manager.findfont(family))
        letters |= set(font.get_charmap())
    return frozenset(letters)


def _save(figure: Figure, path: Path) -> None:
    for text in figure.findobj(Text):
        text.set_fontfamily(list(_families()))  # pyright: ignore[reportAttributeAccessIssue]
    figure.savefig(path, format="png")
