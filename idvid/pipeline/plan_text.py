"""Device plans in words: a report for the command line, and the table of README."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from idvid.errors import ModelError
from idvid.models.wan_memory import VideoRequest
from idvid.pipeline.extras import Extras, added_bytes, additions
from idvid.pipeline.planning import bare_pipeline
from idvid.runtime import GIB, TRANSFORMER, Machine, gib, make_plan, this_machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from idvid.runtime import DevicePlan, Footprint

CARDS_GIB = (8, 12, 16, 24, 48, 80)
TABLE_RAM_GIB = 64
_COLUMNS = {
    "VACE 1.3B": "Wan-AI/Wan2.1-VACE-1.3B-diffusers",
    "VACE 14B": "Wan-AI/Wan2.1-VACE-14B-diffusers",
    "T2V 14B": "Wan-AI/Wan2.1-T2V-14B-Diffusers",
}
_FRAMES = (81, 65, 49, 33)  # tried in this order


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanQuestion:
    """Would this model fit there?"""

    model: str  # a folder, or owner/name on the Hub
    extras: Extras  # what is added to it, and its quantisation
    num_frames: int
    height: int  # pixels
    width: int
    num_references: int
    vram_gib: float | None = None  # free on each GPU; None: the GPUs of this machine
    num_gpus: int = 1  # with vram_gib
    ram_gib: float | None = None  # None: 64 with vram_gib, else what is free here


def answer(question: PlanQuestion) -> str:
    """The plan for a model on a machine that need not be this one.

    Raises:
        InputError: If no video can have that size.
        ModelError: If the model is not known here, or does not fit.
    """
    request = VideoRequest(
        num_frames=question.num_frames,
        height=question.height,
        width=question.width,
        num_references=question.num_references,
    )
    parts = additions(question.extras)
    model = bare_pipeline(question.model).footprint(request, added_bytes(parts))
    plan = make_plan(model, _machine(question), question.extras.quantise)
    return "\n".join(
        [plan_report(plan, model), *(f"{part.heading}: {part.sentence}" for part in parts)]
    )


def plan_report(plan: DevicePlan, model: Footprint) -> str:
    """A plan as a sentence, its components as a table, and what happens if memory runs out."""
    weights = plan.layout.weights
    rows = [("component", "class", "parameters", "weights", "precision", "where")]
    for part in model.components:
        size = part.at(weights)
        rows.append(
            (
                part.name,
                part.class_name,
                f"{part.num_params / 1e9:.2f} B",
                gib(size.total),
                size.precision,
                _where(plan, part.name),
            )
        )
    lower = [f"{p.name}{_mark(p)} ({gib(max(p.peak_vram))})" for p in plan.fallbacks]
    last = f"If memory runs out all the same: {', then '.join(lower)}." if lower else ""
    return "\n".join([plan.sentence, "", *_columns(rows), *(["", last] if lower else [])])


def plan_table() -> str:
    """What README shows: the plan of each public model on common cards, as Markdown."""
    heads = [f"{size} GB" for size in CARDS_GIB]
    columns = [_table_column(model) for model in _COLUMNS.values()]
    lines = ["| GPU | " + " | ".join(_COLUMNS) + " |", "|---" * (len(_COLUMNS) + 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in zip(heads, *columns, strict=True)]
    return "\n".join(lines) + "\n"


def _machine(question: PlanQuestion) -> Machine:
    if question.vram_gib is None:
        machine = this_machine()
    else:
        free = (int(question.vram_gib * GIB),) * question.num_gpus
        machine = Machine(gpu_free=free, ram_free=TABLE_RAM_GIB * GIB)
    ram = machine.ram_free if question.ram_gib is None else int(question.ram_gib * GIB)
    return replace(machine, ram_free=ram)


def _table_column(model: str) -> list[str]:
    bare = bare_pipeline(model)
    sizes = {frames: bare.footprint(VideoRequest(num_frames=frames)) for frames in _FRAMES}
    return [_cell(sizes, card) for card in CARDS_GIB]


def _cell(sizes: dict[int, Footprint], card_gib: int) -> str:
    """The plan for the most frames that fit."""
    machine = Machine(gpu_free=(card_gib * GIB,), ram_free=TABLE_RAM_GIB * GIB)
    for frames, model in sizes.items():
        try:
            plan = make_plan(model, machine)
        except ModelError:
            continue
        if plan.peak_vram:
            fewer = "" if frames == _FRAMES[0] else f", {frames} frames"
            return f"`{plan.name}`{_mark(plan)}{fewer}, {gib(plan.peak_vram[0])}"
    return "does not fit"


def _mark(plan: DevicePlan) -> str:
    return " in tiles" if plan.layout.tiled else ""


def _where(plan: DevicePlan, name: str) -> str:
    if not plan.peak_vram:
        return "in RAM"
    if name in plan.layout.streamed:
        return "passes through the GPU"
    if plan.layout.shares and name == TRANSFORMER:
        return f"split over {len(plan.layout.shares)} GPUs"
    return "on the GPU in its turn" if len(plan.layout.groups) > 1 else "on the GPU"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
