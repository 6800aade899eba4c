"""Settings and presets as frozen values. Owns the limits; knows no model."""

from __future__ import annotations

from dataclasses import dataclass

MAX_CHARACTERS = 8
MAX_PHOTOS = 8
MAX_NAME_LENGTH = 40
MAX_PROMPT_LENGTH = 1000
MIN_SECONDS, MAX_SECONDS = 1.0, 30.0
MAX_SEED = 2**31 - 1
# Key and value in the metadata of our exported backbone: whoever conditions never judges.
CONDITIONER_MARK = ("idvid.use", "conditioning")
CACHES = ("none", "taylorseer")  # between the steps of a VACE model
QUANTISATIONS = ("none", "int8", "fp8", "nf4")  # of a Hub model's weights, by choice alone
FEW_STEPS = 4  # of the distilled model: what it was taught, not a choice
FULL_STEPS, FULL_GUIDANCE = 12, 4.0  # that suit the bundled full model
VACE_STEPS, VACE_GUIDANCE = 30, 5.0  # that suit VACE models
LORA_KINDS = ("auto", "few-step", "style")  # auto: what its name says, see pipeline.lora_kind
LORA_STEPS, LORA_GUIDANCE = 4, 1.0  # that few-step LoRAs for them want
EXPRESSION = (
    "smile",
    "frown",
    "jaw_open",
    "mouth_round",
    "brow_raise",
    "brow_lower",
    "lids_close",
    "gaze_right",
    "gaze_up",
)  # what a face plan says of a face beside its landmarks, in this order
METHODS = (
    "none",
    "context",
    "keyframes",
    "locks",
    "face_aware",
    "full",
)  # the keys of idvid.methods.METHODS, in page order


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityParts:
    """Which parts of the identity stack are on; benchmarks switch one off to see its worth."""

    separators: bool = True  # the learned token after each character's tokens
    slots: bool = True  # the learned vector that tells the characters' tokens apart
    regions: bool = True  # the face masks of identity attention
    anchors: bool = True  # the references laid on the face plan
    reenactment: bool = True  # their heads turned and moved as planned; only where there are mattes
    matte: bool = True  # without what is behind the people on them
    separate_references: bool = True  # False: averaged before they are read, as in the article


ALL_PARTS = IdentityParts()


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings:
    """How to generate; what to generate is a `Scene`."""

    method: str = "locks"
    identity_strength: float = 1.0  # 0..1.5; 0 is exactly the base model
    num_steps: int = FULL_STEPS  # 1..100 denoising steps per window; FEW_STEPS: see few_steps
    guidance_scale: float = 1.0  # 1..10; 1 is no guidance
    few_steps: bool = True  # FEW_STEPS steps are the distilled model's, where there is one
    parts: IdentityParts = ALL_PARTS


DEFAULTS = GenerationSettings()  # what a form or a command line shows before anything is chosen
