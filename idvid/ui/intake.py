"""Untrusted requests -> `RunRequest`. The security boundary of the page and of the API.

Owns which files may be read: only pictures that Gradio itself stored as uploads of this server.
What came in is never repeated in a message.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from gradio.utils import get_upload_folder
from pydantic import BaseModel, ConfigDict, Field

from idvid.config import (
    CACHES,
    DEFAULTS,
    LORA_KINDS,
    MAX_CHARACTERS,
    MAX_NAME_LENGTH,
    MAX_PHOTOS,
    MAX_PROMPT_LENGTH,
    MAX_SECONDS,
    MAX_SEED,
    METHODS,
    MIN_SECONDS,
    QUANTISATIONS,
    GenerationSettings,
)
from idvid.errors import InputError
from idvid.media.image import read_image
from idvid.pipeline.choosing import DEFAULT
from idvid.pipeline.extras import named_extras
from idvid.scene_file import MAX_DESCRIPTION_LENGTH, validate_characters, validate_scene
from idvid.types import Character, Scene
from idvid.ui import text
from idvid.ui.engine import Wish
from idvid.ui.runs import RunRequest
from idvid.ui.vace_controls import MAX_SOURCE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic_core import ErrorDetails

MAX_MODEL_NAME = 200
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class Meta(BaseModel):
    """The mark that Gradio's own checks go by."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, populate_by_name=True)
    type_: Literal["gradio.FileData"] = Field(alias="_type")


class Upload(BaseModel):
    """A file that Gradio stored for us (the other fields of a FileData are of no interest)."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)
    path: Annotated[str, Field(min_length=1, max_length=4096)]
    orig_name: Annotated[str, Field(max_length=4096)] | None = None
    meta: Meta


class CharacterRequest(BaseModel):
    """One named person."""

    model_config = STRICT
    name: Annotated[str, Field(max_length=10_000)]
    photos: Annotated[list[Upload], Field(min_length=1, max_length=MAX_PHOTOS)]
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION_LENGTH)] = ""


class OptionsRequest(BaseModel):
    """What a model is loaded with, each with its default; `named_extras` has the rules."""

    model_config = STRICT
    lora: Annotated[str, Field(max_length=MAX_SOURCE)] = ""
    lora_kind: Annotated[str, Field(max_length=MAX_SOURCE)] = LORA_KINDS[0]
    adapter: Annotated[str, Field(max_length=MAX_SOURCE)] = ""
    cache: Annotated[str, Field(max_length=MAX_SOURCE)] = "none"
    compile: bool = False
    quantise: Annotated[str, Field(max_length=MAX_SOURCE)] = "none"
    judge: Annotated[str, Field(max_length=MAX_SOURCE)] = text.BUNDLED_JUDGE

    def wish(self, model: str) -> Wish:
        """A model with these, in a stranger's name.

        Raises:
            InputError: one of them breaks a rule.
        """
        if self.judge not in text.JUDGE_LABELS:
            raise InputError(RULES["judge"])
        extras = named_extras(
            lora=self.lora.strip(),
            lora_kind=self.lora_kind,
            adapter=self.adapter.strip(),
            cache=self.cache,
            quantise=self.quantise,
            is_public=True,
        )
        return Wish(model=model, extras=replace(extras, compiled=self.compile), judge=self.judge)


class LoadRequest(BaseModel):
    """A model to look at or to load."""

    model_config = STRICT
    options: OptionsRequest


class SettingsRequest(OptionsRequest):
    """The advanced settings, each with its default."""

    identity_strength: Annotated[float, Field(ge=0, le=1.5)] = DEFAULTS.identity_strength
    num_steps: Annotated[int, Field(ge=1, le=100)] | None = None
    guidance_scale: Annotated[float, Field(ge=1, le=10)] | None = None
    few_steps: bool = DEFAULTS.few_steps
    model: Annotated[str, Field(max_length=MAX_MODEL_NAME)] = DEFAULT
    extend: Upload | None = None


class CastRequest(BaseModel):
    """The people of a scene."""

    model_config = STRICT
    characters: Annotated[list[CharacterRequest], Field(min_length=1, max_length=MAX_CHARACTERS)]


class SceneRequest(CastRequest):
    """Everything that a run needs."""

    prompt: Annotated[str, Field(max_length=10 * MAX_PROMPT_LENGTH)]
    seconds: Annotated[float, Field(ge=MIN_SECONDS, le=MAX_SECONDS)]
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]
    methods: Annotated[list[str], Field(min_length=1, max_length=2)]
    settings: SettingsRequest


RULES = {
    "characters": f"Give 1 to {MAX_CHARACTERS} characters, each with a name and photos.",
    "name": f"The name must be text of 1 to {MAX_NAME_LENGTH} characters.",
    "photos": f"Give a list of 1 to {MAX_PHOTOS} uploaded pictures.",
    "description": f"The description must be text of at most {MAX_DESCRIPTION_LENGTH} characters.",
    "prompt": f"The prompt must be text of 1 to {MAX_PROMPT_LENGTH} characters.",
    "seconds": f"The length must be a number from {MIN_SECONDS:g} to {MAX_SECONDS:g} seconds.",
    "seed": f"The seed must be a whole number from 0 to {MAX_SEED}.",
    "methods": text.METHOD_COUNT,
    "settings": (
        "Settings may hold identity_strength, num_steps, guidance_scale, few_steps, model, extend, "
        "lora, lora_kind, adapter, cache, compile, quantise and judge, no more."
    ),
    "options": (
        "Options may hold lora, lora_kind, adapter, cache, compile, quantise and judge, no more."
    ),
    "lora": "The LoRA must be owner/name on the Hub, and :FILE where it holds several.",
    "lora_kind": f"The kind of the LoRA must be one of {', '.join(LORA_KINDS)}.",
    "adapter": "The adapter must be owner/name on the Hub.",
    "cache": f"The cache must be one of {', '.join(CACHES)}.",
    "compile": "compile must be true or false.",
    "quantise": f"The quantisation must be one of {', '.join(QUANTISATIONS)}.",
    "judge": f"The judge must be one of {', '.join(text.JUDGE_LABELS)}.",
    "extend": "What to go on from must be one uploaded video.",
    "few_steps": "few_steps must be true or false.",
    "identity_strength": "Identity strength must be a number from 0 to 1.5.",
    "num_steps": "Steps must be a whole number from 1 to 100.",
    "guidance_scale": "Guidance must be a number from 1 to 10.",
    "model": text.NO_MODEL_NAME,
}


def sentence(error: ErrorDetails) -> str:
    """A user's sentence for something pydantic found; repeats nothing of the input."""
    place = error["loc"]
    known = [part for part in place if isinstance(part, str) and part in RULES]
    if not known:
        return text.MALFORMED
    if "photos" in known and place[-1] != "photos":
        return text.NOT_AN_UPLOAD
    if known[0] != "characters" or len(place) == 1:
        return RULES[known[-1]]
    rule = text.CHARACTER_FIELDS if known[-1] == "characters" else RULES[known[-1]]
    return text.about_character(int(place[1]) + 1, rule)


def run_request(raw: dict[str, Any]) -> RunRequest:
    """Read a whole request, photos included.

    Raises:
        InputError: a value is out of range or a photo cannot be read.
        ValidationError: the form is wrong; `sentence` tells how.
    """
    form = SceneRequest.model_validate(raw)
    scene = Scene(
        prompt=form.prompt.strip(),
        characters=tuple(character(each) for each in form.characters),
        seconds=form.seconds,
        seed=form.seed,
    )
    validate_scene(scene)
    if len(set(form.methods)) < len(form.methods) or not set(form.methods) <= set(METHODS):
        raise InputError(text.METHOD_COUNT)
    strength, few_steps = form.settings.identity_strength, form.settings.few_steps
    ending = form.settings.extend
    return RunRequest(
        scene=scene,
        settings=tuple(
            GenerationSettings(method=m, identity_strength=strength, few_steps=few_steps)
            for m in form.methods
        ),
        num_steps=form.settings.num_steps,
        guidance_scale=form.settings.guidance_scale,
        wish=form.settings.wish(form.settings.model),
        ending=None if ending is None else stored_upload(ending.path),
    )


def load_request(model: object, options: object) -> Wish:
    """Read what is to be looked at or loaded.

    Raises:
        InputError: a name breaks a rule.
        ValidationError: the form is wrong; `sentence` tells how.
    """
    return LoadRequest.model_validate({"options": options}).options.wish(model_name(model))


def model_name(raw: object) -> str:
    """A model's name from a form; an empty one is the default.

    Raises:
        InputError: it is no text, or too long to be a name.
    """
    if not isinstance(raw, str | None) or len(raw or "") > MAX_MODEL_NAME:
        raise InputError(text.NO_MODEL_NAME)
    return (raw or "").strip() or DEFAULT


def cast(raw: object) -> tuple[Character, ...]:
    """Read characters only.

    Raises:
        InputError: a name breaks a rule or a photo cannot be read.
        ValidationError: the form is wrong; `sentence` tells how.
    """
    form = CastRequest.model_validate({"characters": raw})
    characters = tuple(character(each) for each in form.characters)
    validate_characters(characters)
    return characters


def character(form: CharacterRequest) -> Character:
    """One person with decoded photos."""
    return Character(
        name=form.name.strip().removeprefix("@"),
        photos=tuple(read_upload(photo) for photo in form.photos),
        description=form.description.strip(),
    )


def read_upload(upload: Upload) -> NDArray[np.uint8]:
    """Decode an uploaded picture, (H, W, 3) RGB.

    Raises:
        InputError: the file is no upload of this server or no picture that we can read.
    """
    path = stored_upload(upload.path)
    return read_image(path, upload.orig_name or path.name)


def stored_upload(path: str) -> Path:
    """The path of a file in the upload folder, symbolic links and dots resolved.

    Raises:
        InputError: it lies elsewhere.
    """
    folder = Path(get_upload_folder()).resolve()
    if "\0" in path or "://" in path:
        raise InputError(text.NOT_AN_UPLOAD)
    resolved = Path(path).resolve()
    if not resolved.is_relative_to(folder) or not resolved.is_file():
        raise InputError(text.NOT_AN_UPLOAD)
    return resolved
