"""The first check of every request, before Gradio touches the files it names.

Gradio itself would fetch public web addresses of any size and would answer a foreign path with an
error that repeats it. Here only files that lie in the upload folder pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components.api_component import Api

from idvid.errors import InputError
from idvid.ui import text
from idvid.ui.errors import polite
from idvid.ui.intake import stored_upload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradio.block_function import BlockFunction
    from gradio.blocks import Block
    from gradio.state_holder import SessionState

MAX_DEPTH = 12


class GuardedBlocks(gr.Blocks):
    """`gr.Blocks` that refuses every file that is no upload of this server."""

    async def preprocess_data(
        self,
        block_fn: BlockFunction,
        inputs: list[Any],
        state: SessionState | None,
        explicit_call: bool = False,
    ) -> list[Any]:
        """Refuse foreign files, then do what Gradio does."""
        with polite():
            inputs = [*inputs, *defaults(block_fn.inputs[len(inputs) :])]
            if len(inputs) != len(block_fn.inputs):
                raise InputError(text.MALFORMED)
            for path in file_paths(inputs):
                stored_upload(path)
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)


def defaults(parameters: Sequence[Block]) -> list[object]:
    """The last parameters of the API that a caller left out, as far as they have a default."""
    values = [part.value for part in parameters if isinstance(part, Api)]
    return [value for value in values if value is not None]


def file_paths(value: object, depth: int = 0) -> Iterator[str]:
    """Every path or address of a file that a request names.

    Raises:
        InputError: it is nested deeper than any request of ours.
    """
    if depth > MAX_DEPTH:
        raise InputError(text.MALFORMED)
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value["path"]
        for part in value.values():
            yield from file_paths(part, depth + 1)
    if isinstance(value, list):
        for part in value:
            yield from file_paths(part, depth + 1)
