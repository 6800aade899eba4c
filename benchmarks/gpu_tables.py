"""The GPU benchmark's findings as Markdown."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from idvid.bench.tables import NOTHING, markdown

if TYPE_CHECKING:
    from benchmarks.gpu_record import Found, Whole

_STEPS = (
    "A pass reads the prompt and all people; a step with guidance is two passes, the second "
    "without identity. Time of stock: relative to the stock pass just before. Peak: weights "
    "included. Unlike stock: norm of the difference over the norm of stock's output.\n"
)
_ERRORS = "Norm of the difference to the same pass in float32, over float32's norm.\n"
_WHOLE = (
    "From the prompt to pixels. At 30 steps: from the seconds of this run's steps. Difference: "
    "mean over all pixels to the stock pipeline's, of 255, from the same noise; the weights are "
    "random, so that rounding grows from step to step more than with trained ones.\n"
)
_PLANS = (
    "One step without guidance, carried out on the whole GPU. The autoencoder computes the first "
    "three and the last two chunks of a video alone, which leaves the peak as it is and the seconds "
    "short of a true run's. The weights of int8 and nf4 were zeros.\n"
)


def table(found: Found) -> str:
    """All that is known, as Markdown."""
    rate = _shown(found.matrix_tflops, ".3g")
    head = (
        f"{found.size} size on {found.gpu}, torch {found.torch}, {found.precision}, matrix "
        f"product {rate} TFLOP/s; {found.taken:.0f} of {found.seconds:.0f} s taken.\n"
    )
    parts = (_steps(found), _errors(found), _whole(found), _plans(found), _left_out(found))
    return "\n".join((head, *(part for part in parts if part)))


def _steps(found: Found) -> str:
    rows = [
        (
            row.model,
            row.arm,
            _shown(row.seconds_per_pass, ".4g"),
            str(row.passes),
            _shown(row.of_stock, ".3f"),
            _shown(row.rate_share, ".0%"),
            _shown(row.peak_gib, ".1f"),
            _shown(row.unlike_stock, ".2g"),
            row.note or NOTHING,
        )
        for row in found.steps
    ]
    head = ("model", "arm", "s per pass", "passes", "time of stock", "of matrix rate")
    return _part(_STEPS, (*head, "peak, GiB", "unlike stock", "note"), rows)


def _errors(found: Found) -> str:
    rows = [(r.model, str(r.frames), r.arm, _shown(r.error, ".3g")) for r in found.errors]
    return _part(_ERRORS, ("model", "frames", "arm", "error"), rows)


def _whole(found: Found) -> str:
    stocks = {row.model: row for row in found.whole if row.arm == "stock"}
    rows = [
        (
            row.model,
            row.arm,
            f"{row.steps}, guidance {row.guidance:g}",
            _shown(row.seconds, ".4g"),
            _times(stock and stock.seconds, row.seconds),
            _shown(statistics.mean(row.step_seconds), ".3g"),
            _shown(row.seconds_at_30, ".4g"),
            _times(stock and stock.seconds_at_30, row.seconds_at_30),
            _against(row),
            _shown(row.difference, ".2f"),
        )
        for row, stock in ((row, stocks.get(row.model)) for row in found.whole)
    ]
    head = ("model", "run", "steps", "s", "times faster", "s per step", "s at 30 steps")
    return _part(_WHOLE, (*head, "times faster then", "planned / peak, GiB", "difference"), rows)


def _plans(found: Found) -> str:
    rows = [
        (
            row.model,
            f"{row.plan}{', in tiles' if row.tiled else ''}",
            row.quantise,
            _shown(row.planned_gib, ".2f"),
            _shown(row.peak_gib, ".2f"),
            _shown(row.reserved_gib, ".2f"),
            _shown(row.of_peak, ".3f"),
            _shown(row.seconds, ".3g"),
        )
        for row in found.plans
    ]
    head = ("model", "plan", "quantised", "planned, GiB", "peak, GiB", "reserved, GiB")
    return _part(_PLANS, (*head, "planned / peak", "s"), rows)


def _left_out(found: Found) -> str:
    rows = [(row.what, row.why.replace("|", "/")) for row in found.left_out]
    return _part("Not measured.\n", ("what", "why"), rows)


def _part(note: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    clean = [tuple(cell.replace("|", "/") for cell in row) for row in rows]
    return f"{note}\n{markdown(head, clean)}"


def _against(row: Whole) -> str:
    return f"{_shown(row.planned_gib, '.1f')} / {_shown(row.peak_gib, '.1f')}"


def _times(stock: float | None, seconds: float) -> str:
    return _shown(stock / seconds if stock else None, ".2f")


def _shown(value: float | None, form: str) -> str:
    return NOTHING if value is None else format(value, form)
