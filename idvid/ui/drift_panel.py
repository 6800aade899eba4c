"""The drift panel: one small chart per character, growing while the video is made.

Owns the value that travels to the browser; drift_panel.js draws it and drift_panel.css dresses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

if TYPE_CHECKING:
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
EMPTY: dict[str, Any] = {"seconds": 1.0, "characters": []}


def drift_panel(number: int) -> gr.HTML:
    """An empty panel; its value is made by `panel_value`."""
    return gr.HTML(
        EMPTY,
        html_template=f"<div class='drift' role='region' aria-label='Drift, video {number}'></div>",
        css_template=(HERE / "drift_panel.css").read_text(),
        js_on_load=(HERE / "drift_panel.js").read_text(),
        elem_id=f"drift{number}",
        container=True,
        padding=True,
    )


def panel_value(report: DriftReport, seconds: float) -> dict[str, Any]:
    """What the browser draws: the clip so far on an axis as long as the whole clip, in seconds."""
    pairs = zip(report.characters, COLORS, strict=False)
    return {"seconds": seconds, "characters": [one(drift, color) for drift, color in pairs]}


def one(drift: CharacterDrift, color: str) -> dict[str, Any]:
    """A character's curve, bands and summary."""
    return {
        "name": drift.name,
        "color": color,
        "points": [
            [round(time, 3), None if value is None else round(value, 4)]
            for time, value in drift.series
        ],
        "ceiling": drift.ceiling,
        "floor": drift.floor,
        "presence": drift.presence,
        "mean": drift.id_sim_mean,
        "drift": drift.drift_15,
        "swap": drift.swap_rate,
    }
