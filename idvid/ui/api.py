"""The public API: `/generate`, `/check_references`, `/describe_model` and `/load_model`.

Annotations are read by Gradio when the page is built, so they must not become strings here.
"""

import tempfile
from contextlib import closing
from pathlib import Path
from typing import TypedDict

from gradio import FileData
from gradio.events import api as api_endpoint

from idvid.pipeline.choosing import DEFAULT
from idvid.ui import intake
from idvid.ui.engine import Engine
from idvid.ui.errors import polite
from idvid.ui.public_events import GenerationEvent, PublicFinding, public_event, public_finding
from idvid.ui.runs import run


class Character(TypedDict, total=False):
    """A named person: 1 to 8 photos and an optional description."""

    name: str
    photos: list[FileData]
    description: str


class Settings(TypedDict, total=False):
    """Optional settings; each has a default."""

    identity_strength: float
    num_steps: int
    guidance_scale: float
    few_steps: bool
    model: str
    extend: FileData | None
    lora: str
    lora_kind: str
    adapter: str
    cache: str
    compile: bool
    quantise: str
    judge: str


class ModelOptions(TypedDict, total=False):
    """What a model is loaded with; each has a default."""

    lora: str
    lora_kind: str
    adapter: str
    cache: str
    compile: bool
    quantise: str
    judge: str


class ReferenceFindings(TypedDict):
    """What the face check says."""

    findings: list[PublicFinding]


class ModelDescription(TypedDict):
    """What is to be known of a model before it is loaded."""

    name: str
    licence: str
    total_bytes: int | None
    missing_bytes: int | None
    fits: bool
    facts: dict[str, str]


class LoadingEvent(TypedDict):
    """How far a model's way into memory is."""

    stage: str
    message: str
    share: float | None


class Api:
    """The public functions, bound to an engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def generate(
        self,
        prompt: str,
        characters: list[Character],
        seconds: float = 4,
        seed: int = 0,
        methods: list[str] = ["locks"],  # noqa: B006 - shown as the default in the API page, never changed
        settings: Settings = {},  # noqa: B006
    ) -> GenerationEvent:  # pyright: ignore[reportInvalidTypeForm] - the type of one event: Gradio reads it as the schema
        """Generate a video of up to eight named people who keep the identity of their photos.

        Streams one event after another. `stage` is "wait", "references", "plan" (memory ran
        out or compiling failed, and the run starts again as `message` says), "step", "chunk"
        (`chunk`: MPEG-TS, playable one after the other), "similarity" (new points per person as
        [seconds, similarity or null]; the report has the last word), "done" (`video`: mp4, `report`, and
        `run`: models with their commits, and settings; one per method), "end".

        Args:
            prompt: What happens, mentioning each person as @name.
            characters: 1 to 8 people, each with a name, 1 to 8 uploaded photos and an optional
                description.
            seconds: Length of the video, 1 to 30.
            seed: Random seed; the same seed and inputs give the same video.
            methods: One or two of none, context, keyframes, locks, face_aware, full.
            settings: identity_strength 0 to 1.5, num_steps 1 to 100, guidance_scale 1 to 10, model
                and all options as for `/load_model`; steps and guidance default to what suits the
                model, and to 4 and 1 with a LoRA for few steps; few_steps false keeps a few-step
                student from making the steps; extend, an uploaded video that a VACE
                model goes on from.
        """
        raw = {
            "prompt": prompt,
            "characters": characters,
            "seconds": seconds,
            "seed": seed,
            "methods": methods,
            "settings": settings,
        }
        with polite(), tempfile.TemporaryDirectory(prefix="idvid-") as folder:
            request = intake.run_request(raw)
            for event in run(request, self.engine, Path(folder), lambda: False):
                yield public_event(event)  # pyright: ignore[reportReturnType]

    def check_references(self, characters: list[Character]) -> ReferenceFindings:
        """Check whether the photos of each person can be used, and say what to do if not.

        Each finding has the person's name (`character`), the number of the `photo` from 1 (null
        if it is about the person), a `code`, a `severity` (note, warning, or refused: not used)
        and a `message`. No finding means that all photos are fit to use.

        Args:
            characters: 1 to 8 people, each with a name and 1 to 8 uploaded photos.
        """
        with polite():
            findings = self.engine.check(intake.cast(characters)).findings
            return {"findings": [public_finding(finding) for finding in findings]}

    def describe_model(self, model: str = DEFAULT, options: ModelOptions = {}) -> ModelDescription:  # noqa: B006
        """Say a model's licence, download size, limits and device plan; loads nothing.

        Args:
            model: default (the server's own choice), bundled, vace-1.3b, vace-14b, auto, or
                owner/name on the Hub.
            options: As for `/load_model`.
        """
        with polite():
            offer = self.engine.offer(intake.load_request(model, options))
            return {
                "name": offer.choice.title,
                "licence": offer.licence,
                "total_bytes": offer.total_bytes,
                "missing_bytes": offer.missing_bytes,
                "fits": not offer.fit.problem,
                "facts": dict(offer.facts),
            }

    def load_model(
        self,
        model: str = DEFAULT,
        options: ModelOptions = {},  # noqa: B006
    ) -> LoadingEvent:  # pyright: ignore[reportInvalidTypeForm]
        """Download a model if need be, and load it in place of the one in memory.

        Streams one event after another. `stage` is "download" (`share`: 0 to 1 of it is here),
        "wait" or "ready". Ask `/describe_model` first for licence and size. Cancel to stop a
        download; what arrived is kept.

        Args:
            model: default (the server's own choice), bundled, vace-1.3b, vace-14b, auto, or
                owner/name on the Hub.
            options: For VACE models: lora, a LoRA as owner/name on the Hub, and :FILE where it holds
                several, or the file's address there; lora_kind, few-step (4 steps, guidance 1, flow
                shift 5), style (the model's own) or auto (by what its name says); adapter, an identity adapter as owner/name;
                cache, none or taylorseer; compile, true to compile its blocks; quantise, none, int8,
                fp8 or nf4. For all: judge, who
                measures: bundled, auraface, or buffalo_l and antelopev2 for non-commercial research
                only.
        """
        with polite(), closing(self.engine.bring(intake.load_request(model, options))) as steps:
            for sentence, share in steps:
                stage = "wait" if share is None else "download"
                yield {"stage": stage, "message": sentence, "share": share}  # pyright: ignore[reportReturnType]
            yield {"stage": "ready", "message": self.engine.state, "share": None}  # pyright: ignore[reportReturnType]


def add_api(engine: Engine) -> None:
    """Register the public endpoints inside the current `gr.Blocks`."""
    api = Api(engine)
    api_endpoint(api.generate, api_name="generate", concurrency_id="gpu", concurrency_limit=1)
    api_endpoint(api.check_references, api_name="check_references")
    api_endpoint(api.describe_model, api_name="describe_model")
    api_endpoint(api.load_model, api_name="load_model", concurrency_id="load", concurrency_limit=2)
