"""What a consistency method is: a value, not a branch in the pipeline."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyframes:
    """The last frame of every window is made first and checked; the frames between follow."""

    draws: int  # at most so many candidates for one keyframe
    accept: float  # -1..1: cosine to the photos from which on a candidate is taken at once
    reads_between: bool  # the frames between read the photos as well


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to keep characters consistent, for the pipeline to follow and the page to name."""

    name: str  # as in `--method` and the API
    title: str  # as on the page
    family: str  # of the article that the project implements
    summary: str  # one sentence for users
    uses_references: bool  # identity tokens and anchors at every step
    recent_frames: int  # last frames that stay in the next window, clean
    distant_frames: int  # older frames, spread over the clip, that stay as well
    hold_until: float = 0.0  # 0..1: the anchors hold the faces until this t of the denoising
    keyframes: Keyframes | None = None
    look_after: float = (
        1.0  # 0..1: share of the steps after which drawn faces are looked for; 1 never
    )
