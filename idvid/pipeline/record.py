"""What made a clip, as plain JSON beside it: the weights with their commits, the scene's words, settings.

A branch such as main moves on; the commits that were in memory are what makes a run repeatable. Knows
no path: of a folder on this machine only its name is written, and no photo.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from idvid import __version__
from idvid.hub import ModelRef
from idvid.pipeline.extras import LORA, title_of
from idvid.pipeline.load import MODEL

if TYPE_CHECKING:
    from pathlib import Path

    from idvid.config import GenerationSettings
    from idvid.pipeline.load import LoadedModel
    from idvid.types import Scene


def run_record(model: LoadedModel, scene: Scene, settings: GenerationSettings) -> dict[str, Any]:
    """The public `run.json`; `name` of a part with a commit may be given again as it stands."""
    extras, backend = model.choice.extras, model.backend
    options: Any = getattr(model.pipeline, "options", None)  # VACE alone has some
    added = {word.lower(): _part(model, word, source) for word, source in extras.parts}
    if extras.lora is not None:
        part = added[LORA.lower()]
        file = f":{extras.lora_file}" if extras.lora_file else ""
        part |= {"name": f"{part['name']}{file}", "kind": extras.lora_kind}
    return {
        "idvid": __version__,
        "model": _part(model, MODEL, model.choice.source),
        "added": added,
        "cache": extras.cache,
        "compile": extras.compiled,
        "quantise": extras.quantise,
        "plan": None if model.plan is None else model.plan.name,
        "flow_shift": None if options is None else options.shift,
        "size": [backend.width_px, backend.height_px],
        "fps": backend.fps,
        "prompt": scene.prompt,
        "seconds": scene.seconds,
        "seed": scene.seed,
        "characters": [character.name for character in scene.characters],
        "settings": asdict(settings),
    }


def write_run(record: dict[str, Any], path: Path) -> None:
    """Write `run.json`."""
    path.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _part(model: LoadedModel, word: str, source: ModelRef | Path | None) -> dict[str, Any]:
    """A name for the same weights, the revision that was asked for, and the commit that it was."""
    if source is None:
        return {"name": model.choice.title, "revision": None, "commit": None}
    if not isinstance(source, ModelRef):
        return {"name": title_of(source), "revision": None, "commit": None}
    commit = model.commits[word]
    return {"name": f"{source.repo}@{commit}", "revision": source.revision, "commit": commit}
