"""A run's events and the face check's findings as the API sends them.

Annotations are read by Gradio when the page is built, so they must not become strings here.
"""

import json
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from gradio import FileData

from idvid.ui import text
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
)

if TYPE_CHECKING:
    from idvid.faces.quality import Finding


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
    run: dict | None


class PublicFinding(TypedDict):
    """One thing to know about somebody's photos."""

    character: str
    photo: int | None
    code: str
    severity: str
    message: str


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
    return fields("references", message=" ".join(filter(None, [*said, words, event.judge])))


@public_event.register(Replanned)
def _(event: Replanned) -> GenerationEvent:
    return fields("plan", method=event.method, message=event.message)


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
        run=json.loads(event.files[3].read_text()),
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
        "run": None,
    }
    return {**empty, **given}  # type: ignore[return-value]


def file_data(path: Path) -> dict[str, Any]:
    """A file for the client to download."""
    return FileData(path=str(path), orig_name=path.name).model_dump()
