"""Closed boxes of the page, whose parts are there from the start."""

from __future__ import annotations

from typing import cast

import gradio as gr

# Gradio's page builds what is in a box with `open === false` only when that is first opened, and
# writes the server's values into it a frame later: over what somebody typed within that frame, which
# is long on a busy machine. To 0 it says closed as well, but builds the parts with all others.
CLOSED = cast("bool", 0)


def closed_box(label: str, elem_id: str) -> gr.Accordion:
    """A box that a click on its label opens."""
    return gr.Accordion(label, open=CLOSED, elem_id=elem_id)
