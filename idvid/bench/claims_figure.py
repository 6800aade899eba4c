"""One figure of all claims: a panel each, values with their intervals over people."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from idvid.metrics.plots import COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from idvid.bench.play import Played
    from idvid.bench.trial import Trial

_COLUMNS, _PANEL_IN = 3, (5.0, 3.4)
_TITLE_CHARACTERS = 56  # on one line
_SPREAD = 0.12  # sideways distance of the measures of one arm


def draw(trials: Sequence[Trial], truth: Played, spot: str | None, path: Path) -> None:
    """Draw all trials; `spot` is the name of the arm marked in the panel of the strength."""
    columns = min(_COLUMNS, len(trials))
    rows = -(-len(trials) // columns)
    size = (_PANEL_IN[0] * columns, _PANEL_IN[1] * rows)
    figure = Figure(figsize=size, dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[len(trials) :]:
        axes.set_axis_off()
    for trial, axes in zip(trials, panels, strict=False):
        _panel(axes, trial, truth)
        if trial.claim.name == "strength" and spot is not None:
            place = list(trial.played).index(spot)
            axes.axvline(place, color="#888888", linewidth=6, alpha=0.3, zorder=0)
            axes.annotate(
                "sweet spot",
                (place, 0.02),
                xycoords=("data", "axes fraction"),
                fontsize=8,
                ha="center",
            )
    figure.savefig(path, format="png")


def _panel(axes: Axes, trial: Trial, truth: Played) -> None:
    names = list(trial.played)
    shown = trial.claim.shown
    for row, measure in enumerate(shown):
        shift = (row - (len(shown) - 1) / 2) * _SPREAD
        points = [
            (place + shift, estimate)
            for place, name in enumerate(names)
            if (estimate := measure.of(trial.played[name], truth)) is not None
        ]
        axes.errorbar(
            [x for x, _ in points],
            [e.value for _, e in points],
            yerr=[
                [max(e.value - e.low, 0.0) for _, e in points],
                [max(e.high - e.value, 0.0) for _, e in points],
            ],
            fmt="o-" if trial.claim.name == "strength" else "o",
            color=COLOURS[row % len(COLOURS)],
            markersize=4,
            linewidth=1.2,
            capsize=2,
            label=measure.name,
        )
    axes.set_xticks(range(len(names)), names, fontsize=8, rotation=20 if len(names) > 4 else 0)
    axes.set_xlim(-0.5, len(names) - 0.5)
    title = textwrap.fill(trial.claim.says, _TITLE_CHARACTERS)
    axes.set_title(title, fontsize=9, pad=20)  # room for the legend below it
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        fontsize=7,
        frameon=False,
        ncols=len(shown),
        loc="lower center",
        bbox_to_anchor=(0.5, 0.99),
        columnspacing=1.0,
        handletextpad=0.2,
    )
