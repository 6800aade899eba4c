"""What a VACE model can be given beside the scene: LoRA, adapter, cache, compiling, quantisation, a video.

Shown only while a model is chosen that takes them; hidden, they are empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from idvid.config import CACHES, LORA_KINDS, QUANTISATIONS
from idvid.ui import text

if TYPE_CHECKING:
    from gradio.components import Component

    from idvid.pipeline.offers import Offer

Updates = dict[Any, Any]  # component -> new value or properties
MAX_SOURCE = 300  # characters of the name of a LoRA or adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class VaceControls:
    """The components."""

    box: gr.Column
    lora: gr.Textbox
    lora_kind: gr.Dropdown
    adapter: gr.Textbox
    cache: gr.Dropdown
    compiled: gr.Checkbox
    quantise: gr.Dropdown
    ending: gr.File

    @property
    def of_model(self) -> dict[str, Component]:
        """What changes the model itself, by the API's names."""
        return {
            "lora": self.lora,
            "lora_kind": self.lora_kind,
            "adapter": self.adapter,
            "cache": self.cache,
            "compile": self.compiled,
            "quantise": self.quantise,
        }

    def options(self, values: dict[Any, Any]) -> dict[str, Any]:
        """What was chosen for the model itself, as the API would send it."""
        return {name: values[part] or part.value for name, part in self.of_model.items()}


def build_controls() -> VaceControls:
    """A part of the menu of models, hidden at first."""
    with gr.Column(visible=False, elem_id="vace-options") as box:
        lora = gr.Textbox(
            "",
            label=text.LORA_LABEL,
            info=text.LORA_INFO,
            placeholder="owner/name:file.safetensors",
            max_length=MAX_SOURCE,
            elem_id="lora",
        )
        lora_kind = gr.Dropdown(
            [(label, key) for key, label in text.LORA_KIND_LABELS.items()],
            value=LORA_KINDS[0],
            label=text.LORA_KIND_LABEL,
            info=text.LORA_KIND_INFO,
            elem_id="lora-kind",
        )
        adapter = gr.Textbox(
            "",
            label=text.ADAPTER_LABEL,
            info=text.ADAPTER_INFO,
            placeholder="owner/name",
            max_length=MAX_SOURCE,
            elem_id="adapter",
        )
        with gr.Row():
            cache = gr.Dropdown(
                list(CACHES),
                value=CACHES[0],
                label=text.CACHE_LABEL,
                info=text.CACHE_INFO,
                min_width=140,
                elem_id="cache",
            )
            quantise = gr.Dropdown(
                list(QUANTISATIONS),
                value=QUANTISATIONS[0],
                label=text.QUANTISE_LABEL,
                info=text.QUANTISE_INFO,
                min_width=140,
                elem_id="quantise",
            )
        compiled = gr.Checkbox(
            value=False, label=text.COMPILED_LABEL, info=text.COMPILED_INFO, elem_id="compiled"
        )
        ending = gr.File(
            label=text.ENDING_LABEL,
            file_types=["video"],
            height=110,
            elem_id="ending",
        )
    return VaceControls(
        box=box,
        lora=lora,
        lora_kind=lora_kind,
        adapter=adapter,
        cache=cache,
        compiled=compiled,
        quantise=quantise,
        ending=ending,
    )


def control_updates(controls: VaceControls, offer: Offer) -> Updates:
    """Show the controls for a model that takes them; else hide them and forget what they held."""
    if offer.fit.options is not None:
        return {controls.box: gr.Column(visible=True)}
    values = {part: part.value for part in controls.of_model.values()}
    return {controls.box: gr.Column(visible=False), **values, controls.ending: None}
