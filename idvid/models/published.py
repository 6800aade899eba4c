"""The configurations of the public Wan models, so that a plan needs no download.

Source: the converter of the original checkpoints that diffusers ships (`convert_wan_to_diffusers`)
and the class defaults, which are those of Wan 2.1; a parameter count per class checks them in
tests. Only what differs from the class defaults stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idvid.runtime import TEXT_ENCODER, TRANSFORMER, VAE

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class PartConfig:
    """What to build a component from."""

    library: str  # diffusers, transformers, or a module of ours
    class_name: str
    config: Mapping[str, object]


_SMALL = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}
_LARGE = {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40}
_TEXT = {"attention_head_dim": 128, "text_dim": 4096, "freq_dim": 256}
_UMT5_XXL = PartConfig(
    library="transformers",
    class_name="UMT5EncoderModel",
    config={
        "vocab_size": 256384,
        "d_model": 4096,
        "d_kv": 64,
        "d_ff": 10240,
        "num_layers": 24,
        "num_heads": 64,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
    },
)
_WAN_VAE = PartConfig(library="diffusers", class_name="AutoencoderKLWan", config={})


def _wan(class_name: str, **config: object) -> dict[str, PartConfig]:
    transformer = PartConfig(library="diffusers", class_name=class_name, config=_TEXT | config)
    return {TEXT_ENCODER: _UMT5_XXL, TRANSFORMER: transformer, VAE: _WAN_VAE}


_T2V, _VACE = "WanTransformer3DModel", "WanVACETransformer3DModel"
PUBLISHED: dict[str, dict[str, PartConfig]] = {  # by the name on the Hub
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": _wan(_T2V, **_SMALL),
    "Wan-AI/Wan2.1-T2V-14B-Diffusers": _wan(_T2V, **_LARGE),
    "Wan-AI/Wan2.1-VACE-1.3B-diffusers": _wan(
        _VACE, **_SMALL, vace_layers=list(range(0, 30, 2)), vace_in_channels=96
    ),
    "Wan-AI/Wan2.1-VACE-14B-diffusers": _wan(
        _VACE, **_LARGE, vace_layers=list(range(0, 40, 5)), vace_in_channels=96
    ),
}
