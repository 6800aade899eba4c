"""The only place where errors become sentences on the page and in the API."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import gradio as gr
from pydantic import ValidationError

from idvid.errors import IdvidError
from idvid.ui import intake, text

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)


@contextmanager
def polite() -> Iterator[None]:
    """Turn what goes wrong into one sentence; what nobody foresaw goes to the server's log."""
    try:
        yield
    except gr.Error:
        raise
    except IdvidError as error:
        raise gr.Error(str(error), print_exception=False) from error
    except ValidationError as error:
        message = intake.sentence(error.errors(include_input=False)[0])
        raise gr.Error(message, print_exception=False) from error
    except Exception as error:
        log.exception("a handler failed")
        raise gr.Error(text.UNEXPECTED, print_exception=False) from error
