"""A scene and its references as what stays the same over a whole clip of the VACE backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from PIL import Image

from idvid.conditioning.portraits import choose_portraits, portrait
from idvid.conditioning.prompt import leaves_places_open
from idvid.conditioning.regions import bands, face_regions, find_characters
from idvid.conditioning.wan_tokens import reference_crops, wan_identity
from idvid.models.wan_attention import WanIdentity
from idvid.pipeline.vace_options import PATCH_PX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from idvid.config import GenerationSettings
    from idvid.faces.quality import ReferenceFace
    from idvid.methods import Method
    from idvid.models.wan_adapter import WanIdentityAdapter
    from idvid.pipeline.vace_conditions import LatentCoder
    from idvid.pipeline.vace_windows import VaceHistory
    from idvid.types import Scene

# What Wan's authors advise against in every video
NEGATIVE_PROMPT = (
    "Bright tones, overexposed, static, blurred details, subtitles, style, works, paintings, "
    "images, static, overall gray, worst quality, low quality, JPEG compression residue, ugly, "
    "incomplete, extra fingers, poorly drawn hands, poorly drawn faces, deformed, disfigured, "
    "misshapen limbs, fused fingers, still picture, messy background, three legs, many people in "
    "the background, walking backwards"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cast:
    """The characters as identity attention reads them."""

    tokens: Tensor  # (1, C, K, D)
    galleries: tuple[Tensor, ...]  # per character face vectors (R, E) of the backbone
    are_places_open: bool  # the prompt does not say who stands where


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VaceRequest:
    """One clip in the making: what does not change from window to window."""

    settings: GenerationSettings
    method: Method
    generator: torch.Generator
    text: tuple[Tensor, Tensor | None]  # prompt and, with guidance, negative prompt (1, L, D)
    coder: LatentCoder
    references: tuple[Tensor, ...]  # latents (1, 16, 1, h, w) of the photos, first character first
    cast: Cast | None  # None without an adapter or without references


def portraits(references: Sequence[Sequence[ReferenceFace]]) -> list[Image.Image]:
    """The reference images of all characters, in the order in which VACE shall read them."""
    return [Image.fromarray(portrait(one)) for own in choose_portraits(references) for one in own]


@torch.no_grad()
def prepare_cast(
    adapter: WanIdentityAdapter | None,
    scene: Scene,
    references: Sequence[Sequence[ReferenceFace]],
) -> Cast | None:
    """Identity tokens and face vectors; None without an adapter or without references."""
    if adapter is None or not references:
        return None
    crops = reference_crops(references)
    tokens, vectors = wan_identity(adapter, crops)
    galleries = tuple(v[has] for v, has in zip(vectors, crops.has_reference, strict=True))
    return Cast(
        tokens=tokens, galleries=galleries, are_places_open=leaves_places_open(scene.prompt)
    )


def place(
    request: VaceRequest,
    adapter: WanIdentityAdapter | None,
    history: VaceHistory | None,
    grid: tuple[int, int, int],
) -> WanIdentity | None:
    """Identity for one window: everybody where they were seen last, or where they are to stand."""
    if request.cast is None or adapter is None:
        return None
    regions = None
    if history is not None and len(request.cast.galleries) > 1:
        found = find_characters(history.recent[-1], adapter.backbone, request.cast.galleries)
        if any(face is not None for face in found):
            regions = face_regions(found, grid, grid[1] * PATCH_PX)
    elif request.cast.are_places_open:
        regions = bands(len(request.cast.galleries), grid)
    return WanIdentity(
        tokens={"cond": request.cast.tokens},
        regions=regions,
        strength=request.settings.identity_strength,
    )
