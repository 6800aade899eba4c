"""The public API: `/generate`, `/check_references`, `/describe_model` and `/load_model`.

Annotations are read by Gradio when the page is built, so they must not become strings here.
"""

import json
import tempfile
from contextlib import closing
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from gradio import FileData
from gradio.events import api as api_endpoint

from idvid.pipeline.choosing import DEFAULT
from idvid.ui import intake, text
from idvid.ui.engine import Engine
from idvid.ui.errors import polite
from idvid.ui.runs import (
    Checked,
    Chunk,
    Ended,
    Event,
    Finished,
    Measured,
    Progress,
    Replanned,
    Waiting,
    run,
)

if TYPE_CHECKING:
    from idvid.faces.quality import Finding


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


class GenerationEvent(TypedDict):
    """One event of a run; fields that do not apply are empty."""

    stage: str
    message: str
    method: str
    done: int
    total: int
    similarity: dict[str, list]
    chunk: FileData | None
    video: FileData | None
    report: dict | None


class PublicFinding(TypedDict):
    """One thing to know about somebody's photos."""

    character: str
    photo: int | None
    code: str
    severity: str
    message: str


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
        out, and the run starts again as `message` says), "step", "chunk"
        (`chunk`: MPEG-TS, playable one after the other), "similarity" (new points per person as
        [seconds, similarity or null]; the report has the last word), "done" (`video`: mp4, `report`; one per method), "end".

        Args:
            prompt: What happens, mentioning each person as @name.
            characters: 1 to 8 people, each with a name, 1 to 8 uploaded photos and an optional
                description.
            seconds: Length of the video, 1 to 30.
            seed: Random seed; the same seed and inputs give the same video.
            methods: One or two of none, context, keyframes, locks, face_aware, full.
            settings: identity_strength 0 to 1.5, num_steps 1 to 100, guidance_scale 1 to 10, model
                as for `/load_model`; steps and guidance default to what suits the model; few_steps
                false keeps a few-step student from making the steps.
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

    def describe_model(self, model: str = DEFAULT) -> ModelDescription:
        """Say a model's licence, download size, limits and device plan; loads nothing.

        Args:
            model: default (the server's own choice), bundled, vace-1.3b, vace-14b, auto, or
                owner/name on the Hub.
        """
        with polite():
            offer = self.engine.offer(intake.model_name(model))
            return {
                "name": offer.choice.title,
                "licence": offer.licence,
                "total_bytes": offer.total_bytes,
                "missing_bytes": offer.missing_bytes,
                "fits": not offer.fit.problem,
                "facts": dict(offer.facts),
            }

    def load_model(self, model: str = DEFAULT) -> LoadingEvent:  # pyright: ignore[reportInvalidTypeForm]
        """Download a model if need be, and load it in place of the one in memory.

        Streams one event after another. `stage` is "download" (`share`: 0 to 1 of it is here),
        "wait" or "ready". Ask `/describe_model` first for licence and size. Cancel to stop a
        download; what arrived is kept.

        Args:
            model: default (the server's own choice), bundled, vace-1.3b, vace-14b, auto, or
                owner/name on the Hub.
        """
        with polite(), closing(self.engine.bring(intake.model_name(model))) as steps:
            for sentence, share in steps:
                stage = "wait" if share is None else "download"
                yield {"stage": stage, "message": sentence, "share": share}  # pyright: ignore[reportReturnType]
            yield {"stage": "ready", "message": self.engine.state, "share": None}  # pyright: ignore[reportReturnType]


@singledispatch
def public_event(event: Event) -> GenerationEvent:
    """A run's event as the API sends it; registered per type below."""
    return fields("end", message=event.message if isinstance(event, Ended) else "")


@public_event.register(Waiting)
def _(event: Waiting) -> GenerationEvent:
    return fields("wait", message=event.message)


@public_event.register(Checked)
def _(event: Checked) -> GenerationEvent:
    said = [finding.message for finding in event.findings]
    words = text.unknown_words(event.unknown_words)
    return fields("references", message=" ".join([*said, words]).strip())


@public_event.register(Replanned)
def _(event: Replanned) -> GenerationEvent:
    return fields("plan", message=event.message)


@public_event.register(Progress)
def _(event: Progress) -> GenerationEvent:
    return fields("step", method=event.method, done=event.done, total=event.total)


@public_event.register(Chunk)
def _(event: Chunk) -> GenerationEvent:
    return fields("chunk", method=event.method, chunk=file_data(event.path))


@public_event.register(Measured)
def _(event: Measured) -> GenerationEvent:
    return fields("similarity", method=event.method, similarity=event.new)


@public_event.register(Finished)
def _(event: Finished) -> GenerationEvent:
    return fields(
        "done",
        method=event.method,
        video=file_data(event.video),
        report=json.loads(event.files[0].read_text()),
    )


def public_finding(finding: "Finding") -> PublicFinding:
    """A finding as the API sends it."""
    index = finding.photo_index
    return {
        "character": finding.character,
        "photo": None if index is None else index + 1,
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
    }


def fields(stage: str, **given: Any) -> GenerationEvent:  # noqa: ANN401
    """An event with the fields that apply; the others are empty."""
    empty: dict[str, Any] = {
        "stage": stage,
        "message": "",
        "method": "",
        "done": 0,
        "total": 0,
        "similarity": {},
        "chunk": None,
        "video": None,
        "report": None,
    }
    return {**empty, **given}  # type: ignore[return-value]


def file_data(path: Path) -> dict[str, Any]:
    """A file for the client to download."""
    return FileData(path=str(path), orig_name=path.name).model_dump()


def add_api(engine: Engine) -> None:
    """Register the public endpoints inside the current `gr.Blocks`."""
    api = Api(engine)
    api_endpoint(api.generate, api_name="generate", concurrency_id="gpu", concurrency_limit=1)
    api_endpoint(api.check_references, api_name="check_references")
    api_endpoint(api.describe_model, api_name="describe_model")
    api_endpoint(api.load_model, api_name="load_model", concurrency_id="load", concurrency_limit=2)
