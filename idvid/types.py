"""The values that travel through idvid. Owns no behaviour and knows no library but numpy.

Shape legend of the project: B batch, C characters, R reference photos, K identity tokens per
character, T frames, H W pixels, h w latent tokens, N tokens, D width, E face vector.
Pixels are always RGB, uint8, (H, W, 3), upright; time is in seconds; boxes are x0, y0, x1, y1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """A named person whose face the video must keep."""

    name: str  # 1..40 characters, no markup; `@name` in the prompt refers to it
    photos: tuple[NDArray[np.uint8], ...]  # 1..8 reference photos, each (H, W, 3) RGB
    description: str = ""  # free text added to the prompt where `@name` stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a user asks for, whichever method makes it."""

    prompt: str
    characters: tuple[Character, ...]  # 1..8
    seconds: float = 4.0  # 1..30
    seed: int = 0  # 0..2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A piece of video."""

    frames: NDArray[np.uint8]  # (T, H, W, 3) RGB
    fps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CharacterDrift:
    """How much one character looks like their photos over a clip (DESIGN: metrics)."""

    name: str
    presence: float  # 0..1, frames in which the character was found / frames
    id_sim_mean: float | None  # mean of id_sim over frames with the face; None if never found
    drift_15: float | None  # mean of the first 15% minus mean of the last 15%
    drift_slope: float | None  # Theil-Sen slope of id_sim per second
    temporal: float | None  # mean squared embedding distance of neighbouring frames
    id_margin: float | None  # (own - best other) / own, mean; None with one character
    swap_rate: float | None  # share of frames nearer to somebody else
    bleed: float | None  # similarity to others beyond what the references share
    expression_range: float | None  # spread of facial expression over the clip
    ceiling: float | None  # references against each other, leave one out; None with one photo
    floor: float | None  # other characters' references against this one's
    series: tuple[tuple[float, float | None], ...]  # (time_s, id_sim or None where not found)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """The judge's verdict on one clip."""

    fps: float
    frames: int
    judge_name: str
    judge_sha256: str
    occm: float  # 0..100, on-stage count match
    characters: tuple[CharacterDrift, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """One denoising step of one window is done."""

    done: int  # steps done in the whole clip, 1..total
    total: int
    preview: NDArray[np.uint8] | None = None  # (h, w, 3) RGB, a small picture of what is coming


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowDone:
    """A window's new frames are final."""

    first_frame: int  # index of frames[0] in the clip
    total_frames: int  # frames of the whole clip
    fps: float
    frames: NDArray[np.uint8]  # (T, H, W, 3) RGB, never frames already sent


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppedDown:
    """Memory ran out or compiling failed, and the run started again in a way that asks for less."""

    plan: str  # the name of the plan that it goes on with
    message: str  # one sentence for the user


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What one kind of pipeline makes, so that page, API and command line need no branch."""

    name: str  # for people
    width_px: int
    height_px: int
    fps: float
    max_characters: int
    methods: tuple[str, ...]  # names of idvid.methods that it follows
    num_steps: int  # denoising steps that suit it
    guidance_scale: float
    full_steps: int | None = None  # of its full model, where num_steps are a distilled one's
    full_guidance: float | None = None  # of a full model that may have a distilled one beside it
    can_extend: bool = False  # whether it goes on from finished frames
