"""Benchmark results on disk: Markdown tables and JSON with the settings they were measured under."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from idvid.bench.statistics import Estimate

NOTHING = "-"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, with a line break at its end."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def shown(estimate: Estimate | None) -> str:
    """An estimate in a table cell."""
    return NOTHING if estimate is None else str(estimate)


def environment() -> dict[str, object]:
    """What a number depends on beside its settings."""
    import torch

    from idvid import runtime
    from idvid.faces.embed import load_judge

    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "fast_bf16": runtime.has_fast_bf16(),
        "machine": platform.machine(),
        "judge_sha256": load_judge().sha256,
    }


def write(path: Path, content: object) -> None:
    """Write JSON; frozen values become objects."""
    text = json.dumps(content, default=_plain, ensure_ascii=False, indent=1, allow_nan=False)
    path.write_text(text + "\n", "utf-8")


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return value.name
    raise TypeError(f"{type(value).__name__} has no place in a result")
