"""The public models that idvid knows by name: what each is, its licence and its limits.

Licence and limits as the models' own cards and papers state them. Sizes and commits are the Hub's
to say: `look_up` asks before a download.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from idvid.errors import ModelError
from idvid.hub.reference import ModelRef

WAN_FPS = 16.0
_LYNX_NOTICE = (
    "It reads vectors of an ArcFace recogniser that is not part of it and may have another licence."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One entry of the menu of models."""

    key: str  # its name in settings and on the command line
    kind: Literal["video", "adapter", "faces"]
    ref: ModelRef  # main until somebody pins a commit
    summary: str  # one sentence
    licence: str  # SPDX name
    notice: str = ""  # what to know about the licence before use; empty if nothing
    territory: str = ""  # where the licence gives no rights; empty if it names no place
    size_bytes: int | None = None  # None: ask the Hub, see `look_up`
    max_characters: int | None = None  # that its makers show; None if that is not its business
    max_frames: int | None = None  # in one pass; longer clips are made window by window
    fps: float | None = None

    @property
    def max_seconds(self) -> float | None:
        """The longest clip of one pass."""
        return None if self.max_frames is None or self.fps is None else self.max_frames / self.fps


CATALOGUE = (
    ModelCard(
        key="vace-1.3b",
        kind="video",
        ref=ModelRef(repo="Wan-AI/Wan2.1-VACE-1.3B-diffusers"),
        summary="Photoreal video from reference photos at 480p; the smallest of its kind.",
        licence="Apache-2.0",
        max_characters=3,
        max_frames=81,
        fps=WAN_FPS,
    ),
    ModelCard(
        key="vace-14b",
        kind="video",
        ref=ModelRef(repo="Wan-AI/Wan2.1-VACE-14B-diffusers"),
        summary="Photoreal video from reference photos at up to 720p.",
        licence="Apache-2.0",
        max_characters=3,
        max_frames=81,
        fps=WAN_FPS,
    ),
    ModelCard(
        key="t2v-14b",
        kind="video",
        ref=ModelRef(repo="Wan-AI/Wan2.1-T2V-14B-Diffusers"),
        summary="Photoreal video from text; keeps faces through an adapter such as Lynx.",
        licence="Apache-2.0",
        max_frames=81,
        fps=WAN_FPS,
    ),
    ModelCard(
        key="lynx-full",
        kind="adapter",
        ref=ModelRef(repo="ByteDance/lynx", files=("lynx_full/*.safetensors", "lynx_full/*.json")),
        summary="Identity adapter for t2v-14b: identity tokens and dense reference features.",
        licence="Apache-2.0",
        notice=_LYNX_NOTICE,
        max_characters=1,
        max_frames=81,
        fps=WAN_FPS,
    ),
    ModelCard(
        key="lynx-lite",
        kind="adapter",
        ref=ModelRef(repo="ByteDance/lynx", files=("lynx_lite/*.safetensors", "lynx_lite/*.json")),
        summary="Identity adapter for t2v-14b: identity tokens in every second block.",
        licence="Apache-2.0",
        notice=_LYNX_NOTICE,
        max_characters=1,
        max_frames=121,
        fps=24.0,
    ),
    ModelCard(
        key="auraface",
        kind="faces",
        ref=ModelRef(repo="fal/AuraFace-v1", files=("glintr100.onnx",)),
        summary="Face recogniser in the style of ArcFace, 512 numbers per face.",
        licence="Apache-2.0",
        notice="Only the recogniser is fetched: the detector files beside it are for "
        "non-commercial use.",
    ),
)


def card_of(key: str) -> ModelCard:
    """The entry with a key.

    Raises:
        ModelError: If there is none.
    """
    for card in CATALOGUE:
        if card.key == key:
            return card
    raise ModelError(
        f"There is no model '{key[:40]}'; choose one of {', '.join(c.key for c in CATALOGUE)}."
    )
