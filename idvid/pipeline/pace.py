"""How long a run takes on the GPU that a ZeroGPU Space lends: arithmetic, not a measurement.

The reservation is made before anything runs, so operations and bytes are counted and divided by
rates. The rates are assumptions on the careful side; nothing of them was measured on a Space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from idvid.pipeline.vace_options import PATCH_PX
from idvid.pipeline.vace_windows import plan_windows
from idvid.runtime import Pace

if TYPE_CHECKING:
    from torch import nn

    from idvid.pipeline.vace import IdVidVacePipeline
    from idvid.pipeline.vace_options import VaceOptions
    from idvid.types import Scene

_OPERATIONS_PER_S = 1e14  # of the transformer in bfloat16, on half of a large GPU
_PIXELS_PER_S = 2e6  # of the autoencoder, there and back
_BYTES_PER_S = 2e9  # of weights on their way to the GPU
_SETTLING_S = 5.0  # the worker's start and the prompt
_NUM_REFERENCES = 4  # the most that VACE is given, each a latent frame in every window


def num_windows(pipeline: IdVidVacePipeline, scene: Scene) -> int:
    """Windows of a scene's clip."""
    options = pipeline.options
    total = max(1, round(scene.seconds * options.fps))
    return len(plan_windows(total, options.window_frames, options.kept_frames))


def pace_of(pipeline: IdVidVacePipeline) -> Pace:
    """How fast a VACE model is expected to be."""
    options = pipeline.options
    pixels = options.window_frames * options.width_px * options.height_px
    parts = (pipeline.text_encoder, pipeline.transformer, pipeline.vae)
    weights = sum(p.numel() * p.element_size() for part in parts for p in part.parameters())
    return Pace(
        step_s=operations(pipeline.transformer, num_tokens(options)) / _OPERATIONS_PER_S,
        window_s=pixels / _PIXELS_PER_S,
        start_s=_SETTLING_S + weights / _BYTES_PER_S,
    )


def num_tokens(options: VaceOptions, num_references: int = _NUM_REFERENCES) -> int:
    """Video tokens that the transformer reads in one pass."""
    latent_frames = (options.window_frames + 3) // 4 + num_references
    return latent_frames * (options.height_px // PATCH_PX) * (options.width_px // PATCH_PX)


def operations(transformer: nn.Module, tokens: int) -> int:
    """Of one forward pass of a VACE transformer; a multiply-add counts as two.

    Every weight meets every token, and in self-attention every token every other, twice. The
    prompt's tokens are so few beside those of a video that they are left out.
    """
    config: Any = transformer.config
    width = config.num_attention_heads * config.attention_head_dim
    blocks = config.num_layers + len(config.vace_layers)
    weights = sum(p.numel() for p in transformer.parameters())
    return 2 * weights * tokens + 4 * blocks * width * tokens**2
