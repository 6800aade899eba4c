"""Every word the page shows. Owns the wording; knows no component and no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idvid.config import (
    FEW_STEPS,
    FULL_GUIDANCE,
    FULL_STEPS,
    LORA_GUIDANCE,
    LORA_KINDS,
    LORA_STEPS,
    MAX_PHOTOS,
    MAX_SECONDS,
    METHODS,
    MIN_SECONDS,
)
from idvid.hub import CATALOGUE, size_text

if TYPE_CHECKING:
    from idvid.hub import DownloadProgress

BUNDLED_JUDGE, BUNDLED_JUDGE_TITLE = "bundled", "dlib's face network"
PACKS = tuple(card for card in CATALOGUE if card.kind == "faces")
TITLE = "idvid"
INTRO = (
    "# idvid\n"
    "Video in which several people each keep their face, with the proof beside it. "
    "The bundled model is small: it draws **stylised people** from the shoulders up, one to three "
    "look best, at 224x128 pixels and 12 frames a second. It does not make photographs, and it "
    "knows only simple scenes."
)
CONSENT = (
    "**Consent and limits.** Upload only photos of people who agreed to it, and do not pass a "
    "video off as real. Photos stay on this server for the run and are deleted within a day; "
    "nothing is sent elsewhere. The similarity curve comes from a separate face recogniser that "
    "the model never sees; it is a measurement, not a proof of who somebody is."
)

METHOD_LABELS = {
    "none": "Text only (the baseline: no photos used)",
    "context": "Long context (remembers its last frames, no photos used)",
    "keyframes": "Keyframes (one checked frame a second, the others between)",
    "locks": "Identity lock (the photos steer every step)",
    "face_aware": "Face-aware (the lock, aimed at the faces that are drawn)",
    "full": "All together (keyframes, face-aware lock and long context)",
}
DEFAULT_METHODS = ("none", "locks")
assert set(METHOD_LABELS) == set(METHODS)

PROMPT_LABEL = "Prompt"
PROMPT_INFO = "Say what happens and mention each character as @name."
PROMPT_PLACEHOLDER = "@ana and @ben talk in a garden"
SECONDS_LABEL = f"Length in seconds ({MIN_SECONDS:g} to {MAX_SECONDS:g})"
METHODS_LABEL = "Methods to compare (one or two)"
STRENGTH_LABEL = "Identity strength"
STRENGTH_INFO = "How much the photos steer the identity lock; 0 switches them off."
SEED_LABEL = "Seed"
RANDOM_SEED_LABEL = "New seed every time"
STEPS_LABEL = "Steps per window"
STEPS_INFO = (
    f"0: what suits the model. The bundled one is fast at {FEW_STEPS}; any other number runs it in "
    f"full, and {FULL_STEPS} suit that."
)
GUIDANCE_LABEL = "Guidance"
GUIDANCE_INFO = (
    f"How strictly to follow prompt and photos. 0: what suits the model; 1 is none, which the bundled "
    f"one's {FEW_STEPS} steps take, and {FULL_GUIDANCE:g} suits it in full."
)
ADVANCED = "Advanced"
EXAMPLES = "Examples: fill in the form, then press Generate."

ADD_CHARACTER, REMOVE_CHARACTER = "Add a character", "Remove the last"
CHECK, GENERATE, STOP = "Check the photos", "Generate", "Stop"

LOADING = "Loading the model ..."
NOTHING_LOADED = "No model is loaded; the next run loads one."
MODEL_FAILED = (
    "The model could not be loaded; the server keeps a record. Restart the app, and if it fails "
    "again reinstall the requirements."
)
MODEL = "Model"
MODEL_LABEL = "Which model makes the video"
MODEL_INFO = "Choose one, or type owner/name of a Wan2.1 VACE model on the Hub."
MODEL_LABELS = {
    "bundled": "idvid-mini, bundled: stylised people, runs on any CPU",
    "vace-1.3b": "Wan2.1 VACE 1.3B: photoreal, for GPUs of 8 GB and more",
    "vace-14b": "Wan2.1 VACE 14B: photoreal, for large GPUs",
    "auto": "auto: the best that fits this machine",
}
LORA_LABEL = "LoRA (optional)"
LORA_INFO = "A LoRA on the Hub, with :file where it holds several, or the file's address."
LORA_KIND_LABEL = "What the LoRA is for"
LORA_KIND_INFO = "A name with lightx2v, CausVid, distill, 4step and the like says few steps."
LORA_KIND_LABELS = dict(
    zip(
        LORA_KINDS,
        (
            "what its name says",
            f"few steps: {LORA_STEPS}, guidance {LORA_GUIDANCE:g} and flow shift 5",
            "a style, a person, anything else: the model's own steps",
        ),
        strict=True,
    )
)
ADAPTER_LABEL = "Identity adapter (optional)"
ADAPTER_INFO = "An adapter on the Hub that idvid trained for this model."
CACHE_LABEL, QUANTISE_LABEL = "Cache", "Quantised weights"
CACHE_INFO = "Taylorseer: about half the work, small changes."
COMPILED_LABEL = "Compiled blocks"
COMPILED_INFO = "A slow first step, then a fifth less time; for long or many videos, needs a GPU."
QUANTISE_INFO = "Less GPU memory, small changes; needs a GPU."
ENDING_LABEL = "Go on from the end of this video (optional)"
JUDGE_LABEL = "Who measures (the judge)"
JUDGE_INFO = (
    "A face recogniser that the model never sees; another one than idvid's own is downloaded."
)
JUDGE_LABELS = {
    BUNDLED_JUDGE: f"bundled: {BUNDLED_JUDGE_TITLE}",
    **{card.key: card.key for card in PACKS},
}
LOAD, LOAD_FETCHED, CANCEL_LOAD = "Load", "Download and load", "Cancel"
LOAD_CANCELLED = "Cancelled; what arrived is kept, and the next try goes on from there."
LOAD_FAILED = "The model was not loaded; see the message."
NO_MODEL_NAME = "The model must be a name of the menu, or owner/name on the Hub."
IDLE = "Press Generate to begin."
QUEUED = "Waiting for a free place ..."
CHECKING = "Looking at the photos ..."
STARTED = "Making the first pictures ..."
COMPILING = "Making the first pictures; the first step may take a minute, for it compiles ..."
STOPPED = "Stopped. What was finished is kept."
STOPPED_EMPTY = "Stopped before the first pictures were finished."
STOPPING = "Stopping ..."
DONE = "Done."
FAILED = "The run ended with an error; see the message."
ALL_PHOTOS_FIT = "All photos are fit to use."
FILE_LABELS = ("Report (JSON)", "Curves (CSV)", "Figure (PNG)", "Run (JSON)")
COMPARISON = "Both methods compared"
COMPARISON_FILE = "Both methods in one figure (PNG)"

UNEXPECTED = (
    "Something went wrong on our side; the server keeps a record. Please try again, and if it "
    "fails again try other photos or a shorter video."
)
NOT_AN_UPLOAD = (
    "Photos and videos must be uploaded to this server first: web addresses and server paths are "
    "refused. Save the file and upload it."
)
CHARACTER_FIELDS = "Give name, photos and, if you like, description, and nothing else."
MALFORMED = "The request does not have the form that the API page describes; compare the fields."
NO_CHARACTER = "There is no character yet: give at least one a name and 1 to 8 photos."
METHOD_COUNT = (
    f"Choose one or two different methods to compare: {', '.join(METHODS[:-1])} or {METHODS[-1]}."
)
TOO_MANY_PHOTOS = f"At most {MAX_PHOTOS} photos per character are used; the rest was left out."


def default_model(title: str) -> str:
    """The menu's entry for what the owner of this machine chose."""
    return f"{title}: this server's own choice"


def ready(title: str, why: str, plan: str | None) -> str:
    """Which model is in memory, why, and how it lies there."""
    return " ".join(filter(None, (f"{title} is ready.", why, plan)))


def suited(steps: int | None, guidance: float | None) -> str:
    """What was set because a LoRA came or went, None where nothing was; empty if all stayed."""
    parts = []
    if steps is not None:
        parts.append(f"steps to {steps or '0 (what suits the model)'}")
    if guidance is not None:
        parts.append(f"guidance to {guidance:g}")
    return f"Set {' and '.join(parts)}; change that under Advanced." if parts else ""


def not_here(title: str) -> str:
    """Refusal of a run with something that was never downloaded."""
    return f"{title} is not on this machine yet; open Model and press Download and load."


def judge(name: str, licence: str, notice: str) -> str:
    """Who measures, and what its licence asks."""
    if name == BUNDLED_JUDGE:
        name = BUNDLED_JUDGE_TITLE
    return f"Judge: {name}, licence {licence}. {notice}".strip()


def method_name(method: str) -> str:
    """A method in a few words."""
    return METHOD_LABELS[method].partition(" (")[0]


def replanned(method: str, message: str) -> str:
    """Memory ran out or compiling failed while one of the methods was at work."""
    return f"{method_name(method)}: {message}"


def download(step: DownloadProgress) -> str:
    """How far a download is, in words."""
    if not step.bytes_total:
        return step.note or f"Asking the Hub about {step.repo} ..."
    done, total = size_text(step.bytes_done), size_text(step.bytes_total)
    return f"Downloading {step.repo}: {done} of {total}. {step.note}".strip()


def slot_labels(number: int) -> tuple[str, str, str]:
    """Labels of a character's name, photos and description; unique on the page."""
    return (
        f"Name of character {number}",
        f"Photos of character {number} (1 to {MAX_PHOTOS})",
        f"Description of character {number} (optional)",
    )


def about_character(number: int, rule: str) -> str:
    """A rule that one character breaks."""
    return f"Character {number}: {rule}"


def unnamed(number: int) -> str:
    """Sentence for photos without a name."""
    return f"Character {number} has photos but no name: write a name, for instance Ana."


def photoless(number: int) -> str:
    """Sentence for a name without photos."""
    return f"Character {number} has a name but no photo: upload 1 to {MAX_PHOTOS} photos."


def unknown_words(words: tuple[str, ...]) -> str:
    """Note on the words of a prompt that the model does not know; empty if it knows all."""
    if not words:
        return ""
    return "The model does not know: " + ", ".join(f"'{word}'" for word in words) + "."


def progress(done: int, total: int, seconds_left: float | None) -> str:
    """Steps done and the time left, in words."""
    steps = f"Step {done} of {total}"
    return steps if seconds_left is None else f"{steps}, about {seconds_left:.0f} s left"
