"""Any model that idvid runs, from its name: the folder says which pipeline it is for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from idvid.hub import local_path
from idvid.pipeline import generate

if TYPE_CHECKING:
    from pathlib import Path

    from idvid.pipeline.generate import IdVidPipeline
    from idvid.pipeline.vace import IdVidVacePipeline
    from idvid.pipeline.vace_options import VaceOptions

_VACE = ("WanVACEPipeline", "IdVidVacePipeline")


def load_pipeline(
    model: str | None = None, options: VaceOptions | None = None
) -> IdVidPipeline | IdVidVacePipeline:
    """Load the bundled model, or one from a folder or the Hub (`owner/name`).

    Args:
        model: None is the bundled model.
        options: for VACE models.

    Raises:
        ModelError: the model is missing, damaged or of a kind that idvid does not run.
        HubError: the Hub did not give it.
    """
    if model is None:
        return generate.load_pipeline()
    folder = local_path(model)
    if _kind(folder) in _VACE:
        from idvid.pipeline.vace_load import VaceModel, load_vace  # takes seconds to import

        return load_vace(VaceModel(base=folder), options)
    return generate.load_pipeline(str(folder))


def _kind(folder: Path) -> str | None:
    """The class that the folder names; its loader says what is wrong with a broken one."""
    try:
        index = json.loads((folder / "model_index.json").read_text())
    except (OSError, ValueError):
        return None
    return index.get("_class_name") if isinstance(index, dict) else None
