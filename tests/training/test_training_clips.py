"""A user's folder of clips: H.264 files of rendered people, found, named and drawn for training."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from accelerate import PartialState

from idvid.cli import main
from idvid.errors import InputError
from idvid.faces import embed
from idvid.media.image import write_png
from idvid.media.video import write_video
from idvid.models.checkpoint import load_part
from idvid.people import build_person, render_clip, render_portrait, sample_person, sample_scene
from idvid.training.clip_faces import ClipShape, read_frames
from idvid.training.clip_folder import read_clip_folder
from idvid.training.clip_source import open_clips
from idvid.types import Clip

SEEDS = {"Ben": 900_000, "Ana_Maria": 900_001}  # from left to right
SHAPE = ClipShape(width_px=224, height_px=128, num_frames=5)
FRAMES = 7
BACKBONE = Path(__file__).parents[2] / "idvid" / "weights" / "mini" / "backbone"


@pytest.fixture(scope="module")
def people():
    return {name: build_person(sample_person(seed)) for name, seed in SEEDS.items()}


@pytest.fixture(scope="module")
def rendered(people):
    return render_clip(sample_scene(900_002, 2, FRAMES, 12.0), list(people.values()))


@pytest.fixture(scope="module")
def made(people, rendered, tmp_path_factory):
    """One clip of two people, with two photos of each."""
    folder = tmp_path_factory.mktemp("clips") / "mine"
    for name, person in people.items():
        (folder / "people" / name).mkdir(parents=True)
        for number in range(2):
            photo = render_portrait(person, 910_000 + number, 160).image
            write_png(photo, folder / "people" / name / f"{number}.png")
    write_video(Clip(frames=rendered.frames, fps=12.0), folder / "park.mp4")
    (folder / "park.txt").write_text("@Ana_Maria waves at\n@ben, and @Ben smiles.\n")
    return folder


@pytest.fixture(scope="module")
def backbone():
    return load_part("backbone", BACKBONE).eval()


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


def refuse(*args):
    raise AssertionError("nobody should have asked")


@pytest.fixture(scope="module")
def source(made, backbone, kept):
    """The folder looked at, where the judge cannot be asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed, "_load_judge", refuse)
        patch.setattr(embed.JudgeEncoder, "embed_chips", refuse)
        return open_clips(made, backbone, SHAPE, 2, kept)


@pytest.fixture
def folder(made, tmp_path):
    """A copy that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "mine"))


def test_everybody_is_found_under_their_own_name(source, rendered):
    truth = rendered.landmarks[::-1] - 0.5  # the caption mentions the right one first
    faces = source.faces[0]
    assert source.entries[0].cast == ("Ana_Maria", "Ben")
    assert (faces.is_seen.mean(1) > 0.4).all()  # Ana turns away in the end
    error = np.linalg.norm(faces.landmarks - truth, axis=-1)
    assert np.median(error[faces.is_seen]) < 3  # px; the other person is 80 px away
    for own, seen in zip(faces.landmarks, faces.is_seen, strict=True):
        last = np.nonzero(seen)[0][-1]
        assert np.array_equal(own[-1], own[last])  # where nothing is seen the nearest stands


def test_a_drawn_clip_is_a_stretch_of_the_file(source, made):
    clip = source.draw(np.random.default_rng(0))
    frames = np.stack(list(read_frames(made / "park.mp4", SHAPE)))
    stretches = [
        start
        for start in range(FRAMES - 4)
        if np.allclose(
            clip.video[0].permute(1, 2, 3, 0), frames[start : start + 5] / 127.5 - 1, atol=1e-5
        )
    ]
    assert len(stretches) == 1
    start = stretches[0]
    assert np.array_equal(clip.landmarks, source.faces[0].landmarks[:, start : start + 5])
    assert clip.caption == "Ana_Maria waves at Ben, and Ben smiles."
    assert clip.crops.has_reference.any(1).all()
    assert clip.crops.chips.shape[:2] in {(2, 1), (2, 2)}
    assert clip.crops.chips[clip.crops.has_reference].std() > 0.1


def test_larger_clips_are_cut_around_the_centre(made):
    small = ClipShape(width_px=96, height_px=96, num_frames=5)
    cut = next(read_frames(made / "park.mp4", small)).astype(float)
    whole = next(read_frames(made / "park.mp4", SHAPE)).astype(float)
    centre = whole[:, 48:176].reshape(32, 4, 32, 4, 3).mean((1, 3))
    assert np.abs(cut.reshape(32, 3, 32, 3, 3).mean((1, 3)) - centre).mean() < 3


def test_what_was_found_is_kept_until_the_photos_change(
    source, folder, backbone, kept, monkeypatch
):
    monkeypatch.setattr("idvid.training.clip_faces.find_characters", refuse)
    again = open_clips(folder, backbone, SHAPE, 2, kept)
    assert np.array_equal(again.faces[0].landmarks, source.faces[0].landmarks)
    assert np.array_equal(again.faces[0].is_seen, source.faces[0].is_seen)
    (folder / "people" / "Ben" / "1.png").unlink()
    with pytest.raises(AssertionError, match="nobody should have asked"):
        open_clips(folder, backbone, SHAPE, 2, kept)


def test_the_command_trains_on_the_folder(made, vace_folder, tmp_path):
    size = ["--width", "96", "--height", "64", "--frames", "5"]
    words = ["--clips", str(made), "--out", str(tmp_path), *size]
    assert main(["train", "data", *words]) == 0
    kept = sorted((tmp_path / "clips").iterdir())
    assert len(kept) == 1
    base = ["--base", str(vace_folder), "--steps", "1"]
    assert main(["train", "adapter", *words, *base]) == 0
    assert sorted((tmp_path / "clips").iterdir()) == kept
    assert (tmp_path / "adapter" / "adapter" / "identity_layers" / "config.json").is_file()


def _write(name, text):
    return lambda folder: (folder / name).write_text(text)


def _remove(name):
    def spoil(folder):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (shutil.rmtree, "mine is no folder; give --clips a folder of videos"),
        (_remove("park.mp4"), "mine holds no video; put MP4"),
        (_remove("park.txt"), "1 of 1 clips have no caption, park.mp4 first; write park.txt"),
        (_write("park.txt", " \n"), "The caption park.txt has 0 characters; write 1 to 1000."),
        (_write("park.txt", "a" * 1001), "park.txt has 1001 characters; write 1 to 1000."),
        (_write("park.txt", "A park."), "The caption park.txt mentions 0 people; mention 1 to 8"),
        (_write("park.txt", "@Cleo runs."), "mentions @Cleo, but there are only @Ana_Maria, @Ben;"),
        (
            lambda f: (f / "park.txt").write_bytes(b"\xff\xfe\xff"),
            "save it as plain text in UTF-8.",
        ),
        (_remove("people"), "nobody in the sub-folder 'people'; make one folder per person"),
    ],
)
def test_a_folder_of_another_kind_is_refused_in_one_sentence(spoil, sentence, folder, tmp_path):
    spoil(folder)
    with pytest.raises(InputError) as refused:
        read_clip_folder(folder)
    assert sentence in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


def test_photos_are_read_before_clips(folder, backbone, tmp_path):
    photo = folder / "people" / "Ben" / "1.png"
    photo.write_text("x")
    with pytest.raises(InputError, match=r"1\.png is not a picture that we can read; use a JPEG"):
        open_clips(folder, backbone, SHAPE, 2, tmp_path)
    photo.unlink()
    write_png(np.full((80, 80, 3), 200, np.uint8), photo.with_name("0.png"))
    with pytest.raises(InputError, match=r"no face on any photo of Ben \(1 in all\); use"):
        open_clips(folder, backbone, SHAPE, 2, tmp_path)


def test_what_is_no_video_is_refused(folder, backbone, tmp_path):
    (folder / "park.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"park\.mp4 is not a video that we can read; use an MP4"):
        open_clips(folder, backbone, SHAPE, 2, tmp_path)


def test_a_clip_without_its_people_is_refused(folder, backbone, tmp_path):
    grey = np.full((5, 128, 224, 3), 120, np.uint8)
    write_video(Clip(frames=grey, fps=12.0), folder / "park.mp4")
    with pytest.raises(InputError) as refused:
        open_clips(folder, backbone, SHAPE, 2, tmp_path / "kept")
    assert "1 of 1 clips hardly show whom their captions mention: park.mp4 shows the face of " in (
        str(refused.value)
    )
    assert "@Ana_Maria in 0 of 5 frames, and a quarter is needed;" in str(refused.value)


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        (
            ClipShape(width_px=224, height_px=128, num_frames=9),
            "park.mp4 has 7 frames at up to 16 a second and training reads 9;",
        ),
        (ClipShape(), "park.mp4 is 224x128 px, less than two thirds of the 832x480 px"),
    ],
)
def test_clips_that_are_too_short_or_too_small_are_refused(
    shape, sentence, folder, backbone, tmp_path
):
    with pytest.raises(InputError) as refused:
        open_clips(folder, backbone, shape, 2, tmp_path / "kept")
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "words", [{"width_px": 100}, {"height_px": 0}, {"num_frames": 8}, {"num_frames": -3}]
)
def test_a_shape_that_no_model_reads_is_refused(words):
    with pytest.raises(InputError, match="; use "):
        ClipShape(**words)


def test_the_only_person_needs_no_mention(folder):
    shutil.rmtree(folder / "people" / "Ben")
    (folder / "park.txt").write_text("A woman in a park.")
    assert read_clip_folder(folder).entries[0].cast == ("Ana_Maria",)


def test_several_processes_train_only_on_clips_that_were_looked_at(
    folder, backbone, tmp_path, monkeypatch
):
    monkeypatch.setitem(PartialState()._shared_state, "num_processes", 2)
    with pytest.raises(InputError, match="1 of 1 clips were not looked at yet; run 'train data'"):
        open_clips(folder, backbone, SHAPE, 2, tmp_path)
