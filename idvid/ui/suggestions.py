"""What a model suggests for the form: steps, guidance and methods, and a sentence about them.

Owns the way from the server's answer into the boxes. An answer that is written into a box when it
comes would undo what the user typed meanwhile: so it travels as a letter, and a script of the page
(suggestions.js) writes only where a box still holds what it held when the server was asked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = Path(__file__).with_suffix(".js")
Values = dict[Any, Any]  # component -> its value
Updates = dict[Any, Any]  # component -> new value or properties
NOTHING_SAID = (("", ""), ("", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestions:
    """The letter, and the boxes that it is for."""

    letter: gr.JSON
    steps: gr.Slider
    guidance: gr.Slider
    methods: gr.CheckboxGroup
    status: gr.HTML  # where the sentence goes

    @property
    def boxes(self) -> tuple[Any, ...]:
        """What is filled in; whoever suggests reads these too."""
        return self.steps, self.guidance, self.methods

    def send(
        self,
        before: Values,
        suits: Updates,
        methods: Sequence[str] = (),
        said: Sequence[Sequence[str]] = NOTHING_SAID,
    ) -> Updates:
        """Updates with everything for the boxes in the letter, the others as they are.

        Args:
            before: what the boxes held when the question was asked.
            suits: what is suggested; a box that is not in it stays.
            methods: which the model has; a choice of others does not stay.
            said: HTML for the status, by whether steps, then whether guidance were filled in.
        """
        letter = {
            "at": time.monotonic_ns(),  # no two letters are alike, or the page would skip one
            "was": [before[box] for box in self.boxes],
            "now": [suits.get(box) for box in self.boxes],
            "methods": methods,
            "said": said,
        }
        others = {part: new for part, new in suits.items() if part not in self.boxes}
        return {**others, self.letter: letter}

    def wire(self, quiet: dict[str, Any]) -> None:
        """Let the page open every letter that comes."""
        outputs = [*self.boxes, self.status]
        inputs = [self.letter, *self.boxes]
        self.letter.change(None, inputs, outputs, js=SCRIPT.read_text(), **quiet)


def build_suggestions(
    steps: gr.Slider, guidance: gr.Slider, methods: gr.CheckboxGroup, status: gr.HTML
) -> Suggestions:
    """An empty letter, never shown."""
    letter = gr.JSON(visible=False)
    return Suggestions(
        letter=letter, steps=steps, guidance=guidance, methods=methods, status=status
    )
