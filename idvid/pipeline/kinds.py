"""Which of our pipelines runs a model: by its name where we know it, else by its settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from idvid import runtime
from idvid.errors import ModelError
from idvid.hub import ModelRef

if TYPE_CHECKING:
    from pathlib import Path

MINI_KIND, VACE_KIND = "IdVidPipeline", "WanVACEPipeline"
_VACE_CLASSES = (VACE_KIND, "IdVidVacePipeline")


def kind_of(source: ModelRef | Path) -> str:
    """Which pipeline runs it.

    Raises:
        ModelError: None of ours does.
        HubError: Its settings cannot be fetched.
    """
    from idvid.models.published import PUBLISHED
    from idvid.pipeline.planning import settings_folder

    if isinstance(source, ModelRef) and source.repo in PUBLISHED:
        is_vace = "VACE" in PUBLISHED[source.repo][runtime.TRANSFORMER].class_name
        found = VACE_KIND if is_vace else "a Wan text-to-video model"
    else:
        found = _class_of(settings_folder(source))
    if found in _VACE_CLASSES:
        return VACE_KIND
    if found == MINI_KIND:
        return MINI_KIND
    raise ModelError(
        "idvid cannot run this kind of model; choose the bundled one, Wan2.1 VACE in diffusers' "
        "form, or one of idvid's own kind."
    )


def _class_of(folder: Path) -> str | None:
    """The class that a model's folder names; None if it names none."""
    try:
        index = json.loads((folder / "model_index.json").read_text())
    except (OSError, ValueError):
        return None
    return index.get("_class_name") if isinstance(index, dict) else None
