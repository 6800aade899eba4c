"""Compiled blocks given up: where compiling fails in the middle of a run, it goes on without.

How blocks are compiled is `vace_options.speed_up`'s, and where they may be `extras.why_not_compiled`'s.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from idvid.models.wan_attach import COMPILED
from idvid.pipeline.vace_options import speed_up
from idvid.types import SteppedDown, WindowDone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from idvid.pipeline.vace import IdVidVacePipeline
    from idvid.runtime import DevicePlan
    from idvid.types import StepDone

log = logging.getLogger(__name__)
_COMPILERS = ("torch._dynamo", "torch._inductor", "triton")


def uncompile(pipeline: IdVidVacePipeline) -> None:
    """Let the blocks compute as they were written, for good; `speed_up` then adds the cache again."""
    transformer = pipeline.transformer
    if transformer.is_cache_enabled:
        transformer.disable_cache()  # its hooks hold the compiled blocks
    for block in transformer.modules():
        plain = getattr(vars(block).get("forward"), COMPILED, None)
        if plain is not None:
            block.forward = plain
    pipeline.options = replace(pipeline.options, compile_backend=None)


def or_uncompiled(
    pipeline: IdVidVacePipeline,
    current: Callable[[], DevicePlan],
    call: Callable[[], Iterator[StepDone | WindowDone]],
) -> Iterator[StepDone | WindowDone | SteppedDown]:
    """The events of a run, which starts again uncompiled if its blocks cannot be compiled.

    Args:
        pipeline: stays uncompiled then, until it is loaded anew.
        current: what it is placed by when that is asked.
        call: starts the run from its beginning; windows that were delivered are not delivered again.
    """
    seen, failure = 0, ""  # frames delivered, and what went wrong
    try:
        for event in call():
            if isinstance(event, WindowDone):
                seen = event.first_frame + len(event.frames)
            yield event
    except Exception as error:
        if pipeline.options.compile_backend is None or not _is_of_compiler(error):
            raise
        log.info("blocks could not be compiled", exc_info=True)
        failure = type(error).__name__  # the error itself holds tensors
    if not failure:
        return
    uncompile(pipeline)
    speed_up(pipeline.transformer, pipeline.options)
    yield SteppedDown(
        plan=current().name,
        message=f"The blocks could not be compiled here ({failure}); going on without, as later runs "
        "will until the model is loaded anew.",
    )
    for event in call():
        if not (isinstance(event, WindowDone) and event.first_frame < seen):
            yield event


def _is_of_compiler(error: Exception) -> bool:
    """Whether compiling failed, rather than what was compiled."""
    return any(kind.__module__.startswith(_COMPILERS) for kind in type(error).__mro__)
