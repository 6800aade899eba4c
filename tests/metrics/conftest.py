"""Three synthetic people of the test seeds, their photos, and clips of two of them."""

from dataclasses import replace

import numpy as np
import pytest

FPS, FRAMES = 12.0, 24
NAMES = ("Ana", "Bo", "Cy")
SCENE_SEED = 950_001


@pytest.fixture(scope="session")
def cast():
    from idvid.people import build_person, sample_person

    return [build_person(sample_person(950_100 + k)) for k in range(len(NAMES))]


@pytest.fixture(scope="session")
def references(cast):
    """Name -> reference faces, from portraits in differing light and expression."""
    from benchmarks.cast import reference_faces

    seeds = range(960_001, 960_005)
    return {name: reference_faces(person, seeds) for name, person in zip(NAMES, cast, strict=True)}


@pytest.fixture(scope="session")
def scene():
    """Two people who look at the camera without moving much."""
    from idvid.people import sample_scene

    drawn = sample_scene(SCENE_SEED, 2, FRAMES, FPS)
    calm = {"action": "still", "expression_start": "neutral", "expression_end": "neutral"}
    return replace(drawn, actors=tuple(replace(actor, **calm) for actor in drawn.actors))


@pytest.fixture(scope="session")
def true_frames(scene, cast):
    """Ana left, Bo right."""
    from idvid.people import render_clip

    return render_clip(scene, cast[:2]).frames


@pytest.fixture(scope="session")
def exchanged_frames(scene, cast):
    """The same scene with Bo left and Ana right."""
    from idvid.people import render_clip

    return render_clip(scene, cast[1::-1]).frames


@pytest.fixture(scope="session")
def lively_frames(scene, cast):
    """The same two laugh and talk."""
    from idvid.people import render_clip

    actors = [
        replace(actor, action=action, action_start_s=0.0, expression_end="surprised")
        for actor, action in zip(scene.actors, ("laughing", "talking"), strict=True)
    ]
    return render_clip(replace(scene, actors=tuple(actors)), cast[:2]).frames


@pytest.fixture(scope="session")
def measure(references):
    """Report of some frames for the named characters, by name."""
    from idvid.metrics.report import measure_clip
    from idvid.types import Clip

    def report_of(frames, names=("Ana", "Bo")):
        chosen = {name: references[name] for name in names}
        return measure_clip(Clip(frames=np.ascontiguousarray(frames), fps=FPS), chosen)

    return report_of
