"""The device plan of a model: its name or folder to bytes to a plan, before anything loads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idvid import runtime
from idvid.errors import ModelError
from idvid.hub import CATALOGUE, ModelRef, local_path, parse_ref
from idvid.models.parts import build_part, read_parts, stored_weights
from idvid.models.published import PUBLISHED
from idvid.models.sizes import component_size
from idvid.models.wan_memory import wan_phases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from idvid.models.wan_memory import VideoRequest

_NOTHING = runtime.AddedBytes()
_NEEDED = (runtime.TEXT_ENCODER, runtime.TRANSFORMER, runtime.VAE)


@dataclass(frozen=True, slots=True, kw_only=True)
class BarePipeline:
    """A model's components without weights."""

    name: str  # to show
    parts: Mapping[str, nn.Module]  # on the meta device, by their names in the pipeline

    def footprint(
        self, request: VideoRequest, added: runtime.AddedBytes = _NOTHING
    ) -> runtime.Footprint:
        """What it takes for a request, in bytes, with parts that are not in its own files."""
        alone = runtime.Footprint(
            model=self.name,
            components=tuple(component_size(name, part) for name, part in self.parts.items()),
            phases=wan_phases(self.parts, request),
        )
        if added == _NOTHING:
            return alone
        blocks: Any = self.parts[runtime.TRANSFORMER].blocks
        return runtime.with_added(alone, added, len(blocks))


def bare_pipeline(model: ModelRef | Path | str) -> BarePipeline:
    """A model's components, built from its settings.

    Args:
        model: A folder, a reference, owner/name on the Hub, or a key of the catalogue. Nothing is
            fetched for the models of `idvid.models.published`; of another one its settings alone.

    Raises:
        ModelError: If the model is not there, is damaged or is no Wan model.
        HubError: If its settings cannot be fetched.
    """
    source = next((card.ref for card in CATALOGUE if card.key == model), model)
    repo = source.repo if isinstance(source, ModelRef) else str(source)
    known = PUBLISHED.get(repo)
    folder = None if known else settings_folder(source)
    configs = known or read_parts(folder or Path())
    name = Path(repo).name[:60]
    if not set(configs) >= set(_NEEDED):
        raise ModelError(
            f"The plan knows Wan models, made of {', '.join(_NEEDED)}; '{name}' is not made of "
            "these, and the bundled model fits every machine without a plan."
        )
    parts = {part: build_part(config) for part, config in configs.items()}
    if not type(parts[runtime.TRANSFORMER]).__name__.startswith("Wan"):
        raise ModelError(
            f"The plan knows Wan models, and the transformer of '{name}' is of another kind; "
            "choose a Wan model."
        )
    if folder is not None:
        _check_stored(folder, parts)
    return BarePipeline(name=name, parts=parts)


def settings_folder(model: ModelRef | Path | str) -> Path:
    """Where a model's settings are; from the Hub they are fetched alone, without weights.

    Raises:
        HubError: If they cannot be fetched.
    """
    if not isinstance(model, ModelRef):
        if Path(model).is_dir():
            return Path(model)
        model = parse_ref(str(model))
    return local_path(replace(model, files=("*.json",)))


def _check_stored(folder: Path, parts: dict[str, nn.Module]) -> None:
    """Weights that are there must be those of the configuration."""
    for name, part in parts.items():
        stored = stored_weights(folder / name)
        expected = sum(p.numel() for p in part.parameters())
        if stored is not None and stored.num_params < expected:
            raise ModelError(
                f"The weights of {name} have {stored.num_params:,} values, but its configuration "
                f"says {expected:,}; download the model again."
            )
