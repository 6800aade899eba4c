"""How the VACE backend runs on a machine: size, windows and ways to be faster, as one value.

Nothing here changes who or what is drawn; that is `GenerationSettings` and the scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.hooks.taylorseer_cache import TaylorSeerCacheConfig

from idvid.config import CACHES, VACE_GUIDANCE, VACE_STEPS
from idvid.errors import InputError, ModelError
from idvid.models.wan_attach import COMPILED
from idvid.types import Backend

PATCH_PX = 16  # a video token's side: factor 8 of the autoencoder, times 2
METHODS = ("none", "context", "locks")
MAX_CHARACTERS = 4
_REFUSED_CACHES = {
    "first_block": "FirstBlockCache",
    "magcache": "MagCache",
}
# Whole blocks are skipped and the transformer's last projection predicted: one tensor per branch
# and order, where predicting every block's attention would hold 50 GB at 480p.
_SKIPPED = [r"blocks\.\d+", r"vace_blocks\.\d+"]
_PREDICTED = ["proj_out"]
_WARM_UP_STEPS = 4
_CACHE_INTERVAL = 3
_MAX_GRAPHS = 64  # sizes of windows, numbers of people, with and without identity: 8 are too few


@dataclass(frozen=True, slots=True, kw_only=True)
class VaceOptions:
    """The defaults are what Wan2.1-VACE was trained for, at 480p."""

    width_px: int = 832  # multiple of 16
    height_px: int = 480  # multiple of 16
    fps: float = 16.0
    window_frames: int = 81  # 4 n + 1, frames that are denoised together
    kept_frames: int = 17  # 4 n + 1, of them the last ones of the window before, clean
    flow_shift: float | None = None  # None: 3 up to 480p, 5 above; few-step LoRAs want 5
    num_steps: int = VACE_STEPS  # where none are asked for
    guidance_scale: float = VACE_GUIDANCE  # the same
    cache: str = "none"  # or "taylorseer": about half the work, small changes of the picture
    attention_backend: str | None = None  # a name of diffusers', such as "flash_hub"; None: torch's
    compile_backend: str | None = None  # "inductor": compile the repeated blocks; None: do not
    preview_every: int = 0  # steps between small previews; 0: none

    def __post_init__(self) -> None:
        """Refuse what the model cannot do.

        Raises:
            InputError: a size or a number of frames does not fit the model.
            ModelError: a cache that would draw wrong pictures, or an unknown one.
        """
        if self.width_px % PATCH_PX or self.height_px % PATCH_PX:
            raise InputError(
                f"The video is {self.width_px} x {self.height_px} px and both must be multiples "
                f"of {PATCH_PX}; use 832 x 480."
            )
        if self.window_frames % 4 != 1 or self.kept_frames % 4 != 1:
            raise InputError(
                f"Windows have {self.window_frames} frames with {self.kept_frames} kept and both "
                "must be one more than a multiple of 4; use 81 and 17."
            )
        if self.kept_frames >= self.window_frames:
            raise InputError(
                f"Windows of {self.window_frames} frames keep {self.kept_frames} and make nothing "
                "new; keep fewer."
            )
        _check_cache(self.cache)

    @property
    def shift(self) -> float:
        """The scheduler's flow shift."""
        automatic = 3.0 if min(self.width_px, self.height_px) <= 480 else 5.0
        return self.flow_shift or automatic

    def backend(self) -> Backend:
        """What a pipeline with these options makes."""
        return Backend(
            name="Wan2.1 VACE",
            width_px=self.width_px,
            height_px=self.height_px,
            fps=self.fps,
            max_characters=MAX_CHARACTERS,
            methods=METHODS,
            num_steps=self.num_steps,
            guidance_scale=self.guidance_scale,
            can_extend=True,
        )


def _check_cache(name: str) -> None:
    if name in _REFUSED_CACHES:
        raise ModelError(
            f"{_REFUSED_CACHES[name]} draws wrong pictures with VACE, which adds its hints between "
            "the blocks, so that a skipped step adds them twice; use 'taylorseer'."
        )
    if name not in CACHES:
        raise ModelError(f"There is no cache '{name[:40]}'; use one of {', '.join(CACHES)}.")


def speed_up(transformer: Any, options: VaceOptions) -> None:  # noqa: ANN401 - Wan's transformer
    """Choose the attention kernel, compile and cache, in the order in which that must happen.

    Call it when LoRAs are fused, identity layers attached and the weights where they will stay.

    Raises:
        ModelError: the attention kernel is unknown or not installed.
    """
    if options.attention_backend is not None:
        try:
            transformer.set_attention_backend(options.attention_backend)
        except (ValueError, ImportError, RuntimeError) as error:
            raise ModelError(
                f"The attention kernel '{options.attention_backend[:40]}' is unknown or does not "
                "work on this machine; leave it out."
            ) from error
    if options.compile_backend is not None:
        _compile_blocks(transformer, options.compile_backend)
    if options.cache == "taylorseer":
        config = TaylorSeerCacheConfig(
            cache_interval=_CACHE_INTERVAL,
            disable_cache_before_step=_WARM_UP_STEPS,
            taylor_factors_dtype=torch.float32,
            skip_predict_identifiers=_SKIPPED,
            cache_identifiers=_PREDICTED,
        )
        transformer.enable_cache(config)


def _compile_blocks(transformer: Any, backend: str) -> None:  # noqa: ANN401 - Wan's transformer
    """Compile what the repeated blocks compute, below the hooks of a cache, which no graph holds.

    `compile_repeated_blocks` would take these hooks into the graph and fail. A second size of video
    makes a graph for all sizes.
    """
    torch._dynamo.config.recompile_limit = _MAX_GRAPHS
    for block in transformer.modules():
        is_new = not hasattr(block.forward, COMPILED)
        if type(block).__name__ in transformer._repeated_blocks and is_new:
            block.forward = torch.compile(block.forward, fullgraph=True, backend=backend)
