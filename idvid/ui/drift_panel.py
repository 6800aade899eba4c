"""The drift panels: a chart per character that grows with the video, and the methods compared.

Owns the values that travel to the browser; the scripts beside it draw them and charts.css dresses
them in the page's own colours, light or dark.
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from idvid.ui import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idvid.types import CharacterDrift, DriftReport

HERE = Path(__file__).parent
COLORS = (  # Okabe and Ito: told apart by everybody
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#7F7F00",
    "#999999",
)
DASHES = ("", "6 3")  # of the methods' curves, which also differ for those who see no colours
EMPTY: dict[str, Any] = {"seconds": 1.0, "characters": []}


def drift_panel(number: int) -> gr.HTML:
    """An empty panel; its value is made by `panel_value`."""
    return _panel("drift_panel.js", f"Drift, video {number}", f"drift{number}", visible=True)


def comparison_panel() -> gr.HTML:
    """A hidden panel; its value is made by `comparison_value`."""
    return _panel("comparison_panel.js", text.COMPARISON, "comparison", visible=False)


def _panel(script: str, label: str, elem_id: str, *, visible: bool) -> gr.HTML:
    return gr.HTML(
        EMPTY,
        html_template=f"<div class='drift' role='region' aria-label='{label}'></div>",
        css_template=(HERE / "charts.css").read_text(),
        js_on_load=(HERE / "charts.js").read_text() + (HERE / script).read_text(),
        visible=visible,
        elem_id=elem_id,
        container=True,
        padding=True,
    )


def panel_value(report: DriftReport, seconds: float) -> dict[str, Any]:
    """What the browser draws: the clip so far on an axis as long as the whole clip, in seconds."""
    pairs = zip(report.characters, COLORS, strict=False)
    return {
        "seconds": seconds,
        "characters": [
            {"name": drift.name, **_bands(drift), **_curve(drift, color)} for drift, color in pairs
        ],
    }


def comparison_value(reports: Mapping[str, DriftReport], seconds: float) -> dict[str, Any]:
    """Several methods' reports of the same scene, by method: per character, a curve of each.

    The bands belong to the photos, so they are the same for every method.
    """
    columns = zip(*(report.characters for report in reports.values()), strict=True)
    return {
        "seconds": seconds,
        "characters": [
            {
                "name": drifts[0].name,
                **_bands(drifts[0]),
                "curves": [
                    {"label": text.method_name(method), "dash": dash, **_curve(drift, color)}
                    for method, drift, color, dash in zip(
                        reports, drifts, COLORS, cycle(DASHES), strict=False
                    )
                ],
            }
            for drifts in columns
        ],
    }


def _bands(drift: CharacterDrift) -> dict[str, Any]:
    return {"ceiling": drift.ceiling, "floor": drift.floor}


def _curve(drift: CharacterDrift, color: str) -> dict[str, Any]:
    """A character's curve and its summary."""
    return {
        "color": color,
        "points": [
            [round(time, 3), None if value is None else round(value, 4)]
            for time, value in drift.series
        ],
        "presence": drift.presence,
        "mean": drift.id_sim_mean,
        "drift": drift.drift_15,
        "swap": drift.swap_rate,
    }
