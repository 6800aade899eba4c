"""Is a LoRA for few steps? Only if its name says so, or somebody does; else the model stays as it is.

A distilled LoRA wants few steps, no guidance and a flow shift of its own; one of a style, a person or
a movement would be drawn badly so. Nothing in the weights tells them apart, their names do. Owns the
rule; knows no file and no model.
"""

from __future__ import annotations

import re

from idvid.config import LORA_KINDS

AUTO, FEW_STEP, STYLE = LORA_KINDS
_GAP = "[ ._-]?"
_FAMILIES = (  # wherever they stand
    *("lightx2v", "causvid", "accvid", "fusionx", "fusionix", "fastwan", f"self{_GAP}forcing"),
    "distill",
)
_METHODS = ("lightning", "turbo", "lcm", "dmd2?", "rcm")  # as whole words
# 1 to 8 steps: `4step`, `4-steps`, `few_step`; not `step4`, and not `2-step-1400` of a training run
_COUNT = rf"(?:[1-8]|few){_GAP}steps?(?!{_GAP}\d)"
_NAMED = re.compile(
    rf"{'|'.join(_FAMILIES)}|(?<![a-z0-9])(?:{'|'.join(_METHODS)}|{_COUNT})(?![a-z])", re.IGNORECASE
)


def few_step_word(name: str) -> str:
    """What of a LoRA's name says that it is for few steps; empty if nothing does.

    Args:
        name: As it was given: `owner/name`, a folder's name, and the file where one is named.
    """
    found = _NAMED.search(name)
    return found[0] if found else ""


def wants_few_steps(name: str, kind: str) -> bool:
    """Whether a LoRA is for few steps, where `kind` is one of `config.LORA_KINDS`."""
    return kind == FEW_STEP or (kind == AUTO and bool(few_step_word(name)))


def reason_of(name: str, kind: str) -> str:
    """Why a LoRA is taken for what it is, as a part of a sentence."""
    if kind != AUTO:
        return f"you said {kind}"
    word = few_step_word(name)
    return f"its name says {word}" if word else "its name says nothing of few steps"
