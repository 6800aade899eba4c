"""The public models that idvid knows by name: what each is, its licence and its limits.

Licence and limits as the models' own cards and papers state them. Commits of Wan as public projects
pin them; where none is known, and for sizes, the Hub is asked before a download (`look_up`).
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
_INSIGHTFACE_LICENCE = "LicenseRef-insightface-non-commercial"
_INSIGHTFACE_NOTICE = "These are insightface's own weights, for non-commercial research only."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One entry of the menu of models."""

    key: str  # its name in settings and on the command line
    kind: Literal["video", "adapter", "faces"]
    ref: ModelRef  # at a commit where we know one, else at main
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
        ref=ModelRef(
            repo="Wan-AI/Wan2.1-VACE-1.3B-diffusers",
            revision="ec4d2cb062b548996b179d493fdd05340de702a1",
        ),
        summary="Photoreal video from reference photos at 480p; the smallest of its kind.",
        licence="Apache-2.0",
        max_characters=3,
        max_frames=81,
        fps=WAN_FPS,
    ),
    ModelCard(
        key="vace-14b",
        kind="video",
        ref=ModelRef(
            repo="Wan-AI/Wan2.1-VACE-14B-diffusers",
            revision="db79b90c60bbb45ceec9e41b9d5a4df934538ac4",
        ),
        summary="Photoreal video from reference photos at up to 720p.",
        licence="Apache-2.0",
        max_characters=3,
        max_frames=81,
        fps=WAN_FPS,
    ),
    ModelCard(
        key="t2v-14b",
        kind="video",
        ref=ModelRef(
            repo="Wan-AI/Wan2.1-T2V-14B-Diffusers",
            revision="38ec498cb3208fb688890f8cc7e94ede2cbd7f68",
        ),
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
        ref=ModelRef(
            repo="fal/AuraFace-v1",
            revision="af6d057c9b0ec4071d4c49c80e3539258798b609",
            files=("glintr100.onnx",),
        ),
        summary="Face recogniser in the style of ArcFace, 512 numbers per face.",
        licence="Apache-2.0",
        notice="Only the recogniser is fetched: the detector files beside it are for "
        "non-commercial use.",
        size_bytes=260_694_151,
    ),
    ModelCard(
        key="buffalo_l",
        kind="faces",
        ref=ModelRef(
            repo="public-data/insightface",
            revision="33c1063c49c785b7652d3fd529f86fa4f149392b",
            files=("models/buffalo_l/det_10g.onnx", "models/buffalo_l/w600k_r50.onnx"),
        ),
        summary="insightface's face detector and recogniser, 512 numbers per face.",
        licence=_INSIGHTFACE_LICENCE,
        notice=_INSIGHTFACE_NOTICE,
        size_bytes=16_923_827 + 174_383_860,
    ),
    ModelCard(
        key="antelopev2",
        kind="faces",
        ref=ModelRef(
            repo="DIAMONIK7777/antelopev2",
            revision="ba0c3e10f4548361eb9a63265d87ce1140ab5a05",
            files=("scrfd_10g_bnkps.onnx", "glintr100.onnx"),
        ),
        summary="insightface's face detector and larger recogniser, 512 numbers per face.",
        licence=_INSIGHTFACE_LICENCE,
        notice=_INSIGHTFACE_NOTICE,
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
