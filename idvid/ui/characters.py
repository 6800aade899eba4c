"""The characters' part of the form: eight static slots in tabs, two of them visible at first.

Static slots and not `gr.render`: a re-render loses the uploads and its events have no API.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from idvid.config import MAX_CHARACTERS, MAX_NAME_LENGTH, MAX_PHOTOS
from idvid.errors import InputError
from idvid.scene_file import MAX_DESCRIPTION_LENGTH
from idvid.ui import text

if TYPE_CHECKING:
    from gradio.components import Component

    from idvid.types import Character

VISIBLE_AT_FIRST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The components of one character."""

    tab: gr.Tab
    name: gr.Textbox
    photos: gr.Gallery
    description: gr.Textbox


def build_slot(number: int) -> Slot:
    """One tab; its labels are unique on the page (Gradio and screen readers need that)."""
    name_label, photos_label, description_label = text.slot_labels(number)
    with gr.Tab(f"Character {number}", visible=number <= VISIBLE_AT_FIRST, id=number) as tab:
        name = gr.Textbox(
            label=name_label,
            placeholder="Ana" if number == 1 else "Ben" if number == 2 else "",
            max_length=MAX_NAME_LENGTH,
            elem_id=f"name{number}",
        )
        photos = gr.Gallery(
            label=photos_label,
            type="filepath",
            format="png",
            file_types=["image"],
            interactive=True,
            columns=4,
            fit_columns=False,
            height=170,
            object_fit="cover",
            sources=["upload", "clipboard"],
            buttons=[],
            elem_id=f"photos{number}",
            elem_classes="gallery-slot",
        )
        description = gr.Textbox(
            label=description_label,
            placeholder="short dark hair, green coat",
            max_length=MAX_DESCRIPTION_LENGTH,
            elem_id=f"description{number}",
        )
    return Slot(tab=tab, name=name, photos=photos, description=description)


def build_slots() -> tuple[Slot, ...]:
    """All tabs, visible or not."""
    with gr.Tabs():
        return tuple(build_slot(number) for number in range(1, MAX_CHARACTERS + 1))


def show_tabs(slots: tuple[Slot, ...], shown: int) -> dict[Component | gr.Tab, Any]:
    """Updates that make the first `shown` tabs visible."""
    return {slot.tab: gr.Tab(visible=i < shown) for i, slot in enumerate(slots)}


def raw_characters(
    slots: tuple[Slot, ...], values: dict[Component, Any], shown: int
) -> list[dict[str, Any]]:
    """The visible slots that are filled in, in the form that the API takes.

    Raises:
        InputError: a slot has photos but no name, or a name but no photos; or all are empty.
    """
    found = []
    for number, slot in enumerate(slots[:shown], start=1):
        name = (values[slot.name] or "").strip()
        photos = values[slot.photos] or []
        if photos and not name:
            raise InputError(text.unnamed(number))
        if name and not photos:
            raise InputError(text.photoless(number))
        if name:
            uploads = [as_upload(path) for path, _ in photos]
            description = values[slot.description] or ""
            found.append({"name": name, "photos": uploads, "description": description})
    if not found:
        raise InputError(text.NO_CHARACTER)
    return found


def as_upload(path: str) -> dict[str, Any]:
    """A gallery's file in the API's form; `intake` checks it like any other."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def fill_slots(
    slots: tuple[Slot, ...], characters: tuple[Character, ...]
) -> dict[Component | gr.Tab, Any]:
    """Updates that put an example's people into the form and empty the other slots."""
    updates = show_tabs(slots, max(len(characters), VISIBLE_AT_FIRST))
    for i, slot in enumerate(slots):
        person = characters[i] if i < len(characters) else None
        updates[slot.name] = person.name if person else ""
        updates[slot.photos] = list(person.photos[:MAX_PHOTOS]) if person else None
        updates[slot.description] = person.description if person else ""
    return updates
