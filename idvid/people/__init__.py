"""Synthetic people for training, tests and examples: from a seed to portraits, clips, captions."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from idvid.people.clip import PeopleClip, render_clip, trace_expressions, trace_landmarks
    from idvid.people.face_series import FaceSeries, render_face_series
    from idvid.people.person import Figure, Person, build_figure, build_person, dress
    from idvid.people.portrait import Portrait, render_portrait
    from idvid.people.sampling import sample_person
    from idvid.people.scene import SceneSpec, sample_scene
    from idvid.people.seeds import check_seed, split_of
    from idvid.people.spec import PersonSpec

__all__ = [
    "FaceSeries",
    "Figure",
    "PeopleClip",
    "Person",
    "PersonSpec",
    "Portrait",
    "SceneSpec",
    "build_figure",
    "build_person",
    "check_seed",
    "dress",
    "render_clip",
    "render_face_series",
    "render_portrait",
    "sample_person",
    "sample_scene",
    "split_of",
    "trace_expressions",
    "trace_landmarks",
]
_HOME = {
    "FaceSeries": "face_series",
    "Figure": "person",
    "PeopleClip": "clip",
    "Person": "person",
    "PersonSpec": "spec",
    "Portrait": "portrait",
    "SceneSpec": "scene",
    "build_figure": "person",
    "build_person": "person",
    "check_seed": "seeds",
    "dress": "person",
    "render_clip": "clip",
    "render_face_series": "face_series",
    "render_portrait": "portrait",
    "sample_person": "sampling",
    "sample_scene": "scene",
    "split_of": "seeds",
    "trace_expressions": "clip",
    "trace_landmarks": "clip",
}


def __getattr__(name: str) -> object:
    """Load the renderer only when it is asked for; numba takes a second to import."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
