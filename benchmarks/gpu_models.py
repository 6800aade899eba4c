"""The models of the GPU benchmark: public configurations, random weights, and what they are asked.

Values do not change speed. A tiny size of the same classes proves the benchmark's logic on a CPU.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from idvid.models.published import PUBLISHED, PartConfig
from idvid.models.wan_memory import VideoRequest
from idvid.runtime import TEXT_ENCODER, TRANSFORMER, VAE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """Seconds that something may take before any of it was measured."""

    build: float  # a model with fresh weights
    first_pass: float  # of the first model; the others take what their operations say
    compile: float
    coding: float  # text and pixels to latents, and back
    moving: float  # all weights between GPU and main memory and back
    loading: float  # all weights from files, quantised on the way


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Which models are measured on which video."""

    models: Mapping[str, Mapping[str, PartConfig]]  # VACE, then text to video and VACE in large
    request: VideoRequest
    text_tokens: int
    id_dim: int  # width of identity tokens, 16 per person
    reference_frames: int  # of the short video on which passes are compared with float32
    whole_steps: int  # of a whole run; a cache computes the first four in full
    few_steps: int  # of a whole run with few steps
    compile_backend: str
    matrix: int  # side of the matrix product that is the ceiling
    guesses: Guesses


_TINY = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "text_dim": 32,
    "ffn_dim": 32,
    "num_layers": 3,
    "rope_max_seq_len": 64,
}
_TINY_TEXT = {
    "vocab_size": 256384,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 1,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}
_TINY_VAE = {"base_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}


def _tiny(class_name: str, **config: object) -> dict[str, PartConfig]:
    def part(library: str, name: str, values: Mapping[str, object]) -> PartConfig:
        return PartConfig(library=library, class_name=name, config=values)

    return {
        TEXT_ENCODER: part("transformers", "UMT5EncoderModel", _TINY_TEXT),
        TRANSFORMER: part("diffusers", class_name, _TINY | config),
        VAE: part("diffusers", "AutoencoderKLWan", _TINY_VAE),
    }


FULL = Size(
    models={
        "VACE-1.3B": PUBLISHED["Wan-AI/Wan2.1-VACE-1.3B-diffusers"],
        "T2V-14B": PUBLISHED["Wan-AI/Wan2.1-T2V-14B-Diffusers"],
        "VACE-14B": PUBLISHED["Wan-AI/Wan2.1-VACE-14B-diffusers"],
    },
    request=VideoRequest(num_frames=81, height=480, width=832, num_references=2),
    text_tokens=512,
    id_dim=768,
    reference_frames=9,
    whole_steps=8,
    few_steps=4,
    compile_backend="inductor",
    matrix=8192,
    guesses=Guesses(
        build=5.0, first_pass=4.0, compile=50.0, coding=14.0, moving=10.0, loading=20.0
    ),
)
TINY = Size(
    models={
        "VACE-tiny": _tiny("WanVACETransformer3DModel", vace_layers=[0, 2], vace_in_channels=96),
        "T2V-tiny": _tiny("WanTransformer3DModel"),
        "VACE-tiny-2": _tiny("WanVACETransformer3DModel", vace_layers=[0, 1], vace_in_channels=96),
    },
    request=VideoRequest(num_frames=9, height=32, width=48, num_references=2),
    text_tokens=512,  # as pipelines pad prompts, so that compiled graphs fit them too
    id_dim=16,
    reference_frames=5,
    whole_steps=7,
    few_steps=2,
    compile_backend="eager",  # traces as the other does, and compiles nothing
    matrix=256,
    guesses=Guesses(build=0.0, first_pass=0.0, compile=0.0, coding=0.0, moving=0.0, loading=0.0),
)
SIZES = {"full": FULL, "tiny": TINY}


def build(part: PartConfig, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A component with fresh weights on a device; what Wan keeps in float32 stays so."""
    kind: Any = getattr(importlib.import_module(part.library), part.class_name)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            torch.manual_seed(0)
            if part.library == "transformers":
                model = kind(kind.config_class(**part.config))
            else:
                model = kind.from_config(dict(part.config))
    finally:
        torch.set_default_dtype(before)
    # transformers keeps layers in float32 beside float16 alone, diffusers beside bfloat16 too
    kept_wide = () if part.library == "transformers" else kind._keep_in_fp32_modules or ()
    for name, weight in model.named_parameters():
        if any(kept in name for kept in kept_wide):
            weight.data = weight.data.float()
    return model.eval().requires_grad_(False)


def forward_inputs(
    transformer: Any,  # noqa: ANN401 - Wan's
    size: Size,
    device: torch.device,
    request: VideoRequest | None = None,
) -> dict[str, Any]:
    """What one forward pass of a window reads, references included; the size's own by default."""
    request, dtype = request or size.request, transformer.dtype
    is_vace = "vace_layers" in transformer.config
    frames = request.latent_frames + (request.num_references if is_vace else 0)
    rows, columns = request.height // 8, request.width // 8
    source = torch.Generator(device).manual_seed(1)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=source, device=device, dtype=dtype)

    values: dict[str, Any] = {
        "hidden_states": noise(1, 16, frames, rows, columns),
        "timestep": torch.tensor([500], device=device),
        "encoder_hidden_states": noise(1, size.text_tokens, transformer.config.text_dim),
    }
    if is_vace:
        values["control_hidden_states"] = noise(1, 96, frames, rows, columns)
        count = len(transformer.config.vace_layers)
        values["control_hidden_states_scale"] = torch.ones(count, device=device, dtype=dtype)
    return values
