"""Settings and presets as frozen values. Owns the limits; knows no model."""

from __future__ import annotations

from dataclasses import dataclass

MAX_CHARACTERS = 8
MAX_PHOTOS = 8
MAX_NAME_LENGTH = 40
MAX_PROMPT_LENGTH = 1000
MIN_SECONDS, MAX_SECONDS = 1.0, 30.0
MAX_SEED = 2**31 - 1
METHODS = ("none", "context", "locks")  # the keys of idvid.methods.METHODS, in page order


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings:
    """How to generate; what to generate is a `Scene`."""

    method: str = "locks"
    identity_strength: float = 0.8  # 0..1.5; 0 is exactly the base model
    num_steps: int = 12  # 1..100 denoising steps per window
    guidance_scale: float = 1.0  # 1..10; 1 is no guidance


DEFAULTS = GenerationSettings()  # what a form or a command line shows before anything is chosen
