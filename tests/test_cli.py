"""Laws of the command line: exit codes, one-line refusals, and the files that are promised."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from PIL import Image
from tiny_packs import save_pack, save_recogniser

from idvid.cli import main
from idvid.hub import card_of
from idvid.media.clip_reader import read_video
from idvid.media.image import write_png
from idvid.media.video import write_video
from idvid.people import (
    build_person,
    render_clip,
    render_portrait,
    sample_person,
    sample_scene,
)
from idvid.types import Clip

ANA, BEN = 950_101, 950_102  # test people


@pytest.fixture(scope="module")
def people():
    return {"Ana": build_person(sample_person(ANA)), "Ben": build_person(sample_person(BEN))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, people):
    """Two people's photos in folders of their own, and a scene file that uses them."""
    root = tmp_path_factory.mktemp("cli")
    for name, person in people.items():
        (root / "people" / name).mkdir(parents=True)
        for seed in (950_000, 950_001):
            portrait = render_portrait(person, seed, neutral=seed == 950_000)
            write_png(portrait.image, root / "people" / name / f"{seed}.png")
    scene = {
        "prompt": "@Ana and @Ben talk",
        "seconds": 1,
        "seed": 3,
        "characters": [
            {"name": name, "photos": [f"people/{name}/950000.png", f"people/{name}/950001.png"]}
            for name in people
        ],
    }
    (root / "scene.json").write_text(json.dumps(scene))
    return root


@pytest.fixture(scope="module")
def video(folder, people):
    """A second of both people, Ana on the left."""
    scene = sample_scene(950_003, num_people=2, num_frames=12)
    clip = render_clip(scene, list(people.values()))
    write_video(Clip(frames=clip.frames, fps=12), folder / "both.mp4")
    return folder / "both.mp4"


def run(capsys, *argv):
    """Exit code, standard output and standard error of one command."""
    try:
        code = main([str(a) for a in argv])
    except SystemExit as stop:  # argparse refuses
        code = stop.code
    return (code, *capsys.readouterr())


def generated(capsys, folder, model, out, *more):
    arguments = ["--out", out, "--model", model, "--steps", 1, "--guidance", 1, *more]
    code, _, err = run(capsys, "generate", folder / "scene.json", *arguments)
    assert code == 0, err
    return err


def test_generate_writes_video_and_report_and_compares_methods(
    capsys, folder, tiny_folder, tmp_path
):
    one, both = tmp_path / "one", tmp_path / "both"
    err = generated(capsys, folder, tiny_folder, one, "--seed", 5)
    assert "locks: step 1 of " in err
    assert "s left" in err
    clip = read_video(one / "video.mp4")
    assert clip.fps == 12
    assert clip.frames.shape == (12, 128, 224, 3)
    report = json.loads((one / "report.json").read_text())
    assert report["frames"] == 12
    assert [c["name"] for c in report["characters"]] == ["Ana", "Ben"]
    made = json.loads((one / "run.json").read_text())
    assert made["model"] == {"name": tiny_folder.name, "revision": None, "commit": None}
    assert (made["seed"], made["settings"]["method"]) == (5, "locks")

    methods = ["--method", "none", "--method", "locks"]
    generated(capsys, folder, tiny_folder, both, *methods, "--seed", 5)
    each = {"video.mp4", "report.json", "drift.csv", "drift.png", "run.json"}
    assert {p.name for p in one.iterdir()} == each
    expected = {f"{m}/{file}" for m in ("none", "locks") for file in each} | {"comparison.png"}
    assert {str(p.relative_to(both)) for p in both.rglob("*.*")} == expected
    made = [(both / m / "video.mp4").read_bytes() for m in ("none", "locks")]
    assert made[1] == (one / "video.mp4").read_bytes()  # the same seed, to the byte
    assert made[0] != made[1]


def test_measure_writes_the_report_the_curve_and_the_figure(capsys, folder, video, tmp_path):
    code, _, err = run(
        capsys, "measure", video, "--characters", folder / "people", "--out", tmp_path / "out"
    )
    assert (code, "measure: done in" in err) == (0, True)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [c["name"] for c in report["characters"]] == ["Ana", "Ben"]
    assert (report["fps"], report["frames"]) == (12, 12)
    assert all(c["presence"] > 0.5 and c["swap_rate"] < 0.5 for c in report["characters"])
    with (tmp_path / "out" / "drift.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 24
    with Image.open(tmp_path / "out" / "drift.png") as figure:
        assert min(figure.size) > 200


@pytest.fixture
def auraface(tmp_path, monkeypatch):
    """A tiny recogniser where the Hub's cache would keep AuraFace's; its sha256."""
    ref = card_of("auraface").ref
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    name = f"models--{ref.repo.replace('/', '--')}"
    file = tmp_path / "cache" / name / "snapshots" / ref.revision / ref.files[0]
    file.parent.mkdir(parents=True)
    save_recogniser(file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_another_judge_measures_and_is_named_with_its_licence(
    capsys, folder, video, tmp_path, auraface
):
    out = tmp_path / "out"
    arguments = ["--characters", folder / "people", "--judge", "auraface", "--out", out]
    code, _, err = run(capsys, "measure", video, *arguments)
    assert code == 0, err
    report = json.loads((out / "report.json").read_text())
    assert report["judge"] == {"name": "auraface", "sha256": auraface}
    assert all(c["presence"] > 0.5 for c in report["characters"])
    assert "notice: idvid does not know these face weights" in err


def test_the_judge_changes_the_report_and_never_the_video(
    capsys, folder, tiny_folder, tmp_path, auraface
):
    bundled, other = tmp_path / "bundled", tmp_path / "other"
    assert "notice" not in generated(capsys, folder, tiny_folder, bundled)
    assert "notice" in generated(capsys, folder, tiny_folder, other, "--judge", "auraface")
    assert (bundled / "video.mp4").read_bytes() == (other / "video.mp4").read_bytes()
    judges = [json.loads((o / "report.json").read_text())["judge"] for o in (bundled, other)]
    assert judges[0]["name"] == "dlib-resnet-v1"
    assert judges[1] == {"name": "auraface", "sha256": auraface}


def test_who_conditions_never_judges(capsys, folder, tiny_folder, tmp_path):
    pack = save_pack(tmp_path / "pack", names=("det.onnx", "other.onnx"))
    (pack / "other.onnx").unlink()
    code, _, err = run(
        capsys, "export-backbone", "--model", tiny_folder, "--out", pack / "rec.onnx"
    )
    assert code == 0, err
    arguments = ["--model", tiny_folder, "--out", tmp_path / "out", "--judge", pack]
    code, _, err = run(capsys, "generate", folder / "scene.json", *arguments)
    assert code == 2
    assert err.splitlines()[-1].startswith("idvid: This face pack is the network that conditions")


def test_check_says_that_good_photos_are_good(capsys, folder):
    code, out, err = run(capsys, "check", folder / "scene.json")
    assert code == 0
    assert "refused" not in out
    assert err == ""


def test_check_says_what_is_wrong_and_fails(capsys, folder, tmp_path):
    scene = json.loads((folder / "scene.json").read_text())
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "wall.png")
    scene["characters"][0]["photos"] = ["wall.png"]
    scene["characters"][1]["photos"] = [
        os.path.relpath(folder / photo, tmp_path) for photo in scene["characters"][1]["photos"]
    ]
    (tmp_path / "scene.json").write_text(json.dumps(scene))
    code, out, err = run(capsys, "check", tmp_path / "scene.json")
    assert code == 2
    assert "No face was found in photo 1 of 'Ana'" in out
    assert err.startswith("idvid: No usable face for 'Ana'")


def test_people_writes_pictures(capsys, tmp_path):
    code, _, _ = run(capsys, "people", "--seed", 950_007, "--count", 2, "--out", tmp_path)
    assert code == 0
    pictures = list(tmp_path.rglob("*.png"))
    assert len(pictures) >= 3  # two people and the sheet
    for picture in pictures:
        with Image.open(picture) as opened:
            opened.verify()


REFUSED = {
    "no scene": (["generate", "{tmp}/gone.json", "--out", "{tmp}"], "gone.json cannot be read"),
    "bad scene": (["check", "{tmp}/bad.json"], "not valid JSON"),
    "gone": (["measure", "x.mp4", "--characters", "{tmp}/gone", "--out", "{tmp}"], "no folder;"),
    "nobody": (["measure", "x.mp4", "--characters", "{tmp}/empty", "--out", "{tmp}"], "no folder;"),
    "no photos": (["measure", "x.mp4", "--characters", "{tmp}/bare", "--out", "{tmp}"], "0 photos"),
    "html": (["measure", "x.mp4", "--characters", "{tmp}/html", "--out", "{tmp}"], "only letters"),
    "no compiling": (["generate", "{scene}", "--out", "{tmp}", "--compile"], "no compiled blocks"),
    "no model": (["generate", "{scene}", "--out", "{tmp}", "--model", "x"], "neither a folder"),
    "no judge": (["generate", "{scene}", "--out", "{tmp}", "--judge", "x"], "neither a folder"),
    "out is a file": (["generate", "x.json", "--out", "{tmp}/bad.json"], "bad.json cannot be made"),
    "people's seed": (["people", "--seed", "1000000", "--out", "{tmp}"], "1000000"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_one_line_and_exit_code_2(capsys, folder, tmp_path, case):
    argv, reason = REFUSED[case]
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare" / "Ana").mkdir(parents=True)
    (tmp_path / "html" / "<b>").mkdir(parents=True)
    code, out, err = run(
        capsys, *(a.format(tmp=tmp_path, scene=folder / "scene.json") for a in argv)
    )
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("idvid: ")
    assert reason in last
    assert "Traceback" not in err
    assert str(tmp_path) not in err


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["dance"],
        ["generate"],
        ["generate", "s.json"],
        ["generate", "s.json", "--out", "o", "--method", "magic"],
        ["generate", "s.json", "--out", "o", "--seed", "-1"],
        ["generate", "s.json", "--out", "o", "--seed", str(2**31)],
        ["generate", "s.json", "--out", "o", "--strength", "nan"],
        ["generate", "s.json", "--out", "o", "--strength", "1.6"],
        ["generate", "s.json", "--out", "o", "--steps", "0"],
        ["generate", "s.json", "--out", "o", "--guidance", "inf"],
        ["measure", "v.mp4", "--out", "o"],
        ["people", "--count", "0", "--out", "o"],
        ["train", "all", "--preset", "tpu", "--out", "o"],
        ["train", "magic", "--out", "o"],
    ],
)
def test_a_wrong_argument_is_refused_before_anything_loads(capsys, argv):
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert "usage: python -m idvid" in err


def test_help_is_instant_and_loads_no_model():
    code = "import sys; from idvid.cli import main\ntry: main(['generate', '--help'])\nexcept SystemExit: print('torch' in sys.modules or 'numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "--strength" in done.stdout
    assert done.stdout.rstrip().endswith("False")


def test_ctrl_c_stops_with_130_and_no_traceback(folder, people, tmp_path):
    scene = sample_scene(950_003, num_people=2, num_frames=12)
    frames = render_clip(scene, list(people.values())).frames
    long = Clip(frames=frames.repeat(20, axis=0), fps=12)
    write_video(long, tmp_path / "long.mp4")
    command = [sys.executable, "-m", "idvid", "measure", str(tmp_path / "long.mp4")]
    command += ["--characters", str(folder / "people"), "--out", str(tmp_path / "out")]
    # A shell starts its background jobs deaf to SIGINT, and children inherit that.
    listen = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listen) as process:
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        rest = process.stderr.read()
        process.wait(timeout=60)
    assert "s of video" in first
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert rest.endswith("idvid: stopped.\n")
    assert time.monotonic() - started < 20
