"""Laws of face packs, run by the real insightface and onnxruntime on tiny networks."""

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from insightface.app import FaceAnalysis
from insightface.utils.face_align import estimate_norm, norm_crop
from tiny_packs import BOX, POINTS, save_detector, save_pack, save_recogniser

from idvid.errors import ModelError
from idvid.faces.align import arcface_chips, arcface_template, dlib_landmarks, similarity
from idvid.faces.detect import detect_faces
from idvid.faces.embed import combined_sha256, cut_faces
from idvid.faces.pack import InsightFacePack
from idvid.faces.pack_files import execution_providers, open_pack, open_recogniser
from idvid.faces.types import Face
from idvid.metrics.report import measure_clip
from idvid.types import Clip

CELL = (6, 9)  # row and column of the red cell on the detector's 32 px grid


@pytest.fixture(scope="module")
def pack_folder(tmp_path_factory):
    return save_pack(tmp_path_factory.mktemp("packs") / "tiny_pack")


@pytest.fixture(scope="module")
def pack(pack_folder):
    return InsightFacePack(open_pack(pack_folder), "tiny")


@pytest.fixture(scope="module")
def theirs(pack_folder):
    """The same pack as insightface alone uses it."""
    app = FaceAnalysis(name=str(pack_folder), providers=["CPUExecutionProvider"])
    app.prepare(ctx_id=-1)
    return app


@pytest.fixture(scope="module")
def picture():
    """640 px of smooth noise without much red, and one red cell."""
    draws = np.random.default_rng(900000).integers(0, 200, (40, 40, 3))
    image = np.kron(draws, np.ones((16, 16, 1), np.int64)).astype(np.uint8)
    image[..., 0] //= 4
    row, column = (32 * value for value in CELL)
    image[row : row + 32, column : column + 32] = (255, 0, 0)
    return image


def test_a_face_is_where_the_detector_says_with_landmarks_in_our_order(pack, picture):
    (face,) = pack.detect(picture)
    corner = np.array([CELL[1], CELL[0]]) * 32.0
    box = corner[[0, 1, 0, 1]] + BOX * 32 * [-1, -1, 1, 1]
    assert face.box == pytest.approx(box, abs=0.5)
    points = corner + POINTS * 32
    right, left = face.landmarks[:2].mean(0), face.landmarks[2:4].mean(0)
    assert right == pytest.approx(points[1], abs=4)  # the right pupil, as seen in the picture
    assert left == pytest.approx(points[0], abs=4)
    assert face.landmarks[0, 0] > face.landmarks[1, 0] > face.landmarks[3, 0]
    assert left[1] < face.landmarks[4, 1] < points[3, 1]  # the nose lies above the mouth
    assert face.score == pytest.approx(2 / (1 + np.exp(-4)) - 1, abs=0.01)
    assert pack.detect(picture, min_face_px=300) == ()
    assert pack.detect(picture, min_score=0.99) == ()
    assert pack.detect(np.ascontiguousarray(picture[..., ::-1])) == ()  # red is red, not blue


def test_a_turned_head_stays_turned():
    straight = np.array([[0, 0], [2, 0], [1, 1], [0.2, 2], [1.8, 2]], np.float32) * 30 + 50
    aside = straight + np.array([[0, 0], [0, 0], [12, 0], [4, 0], [4, 0]], np.float32)
    faces = dlib_landmarks(torch.from_numpy(np.stack([straight, aside]))).numpy()
    noses = faces[:, 4, 0] - faces[:, :4, 0].mean(1)
    assert abs(noses[0]) < 1
    assert noses[1] > 5


@pytest.mark.parametrize("seed", range(5))
def test_our_crop_of_their_landmarks_is_their_crop(seed):
    draws = np.random.default_rng(900000 + seed)
    angle, scale = draws.uniform(-0.6, 0.6), draws.uniform(0.4, 3)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    template = np.array([[38, 52], [74, 52], [56, 72], [42, 92], [71, 92]])
    points = (template @ turn.T + draws.normal(0, 4 * scale, (5, 2)) + 200).astype(np.float32)
    ours = similarity(arcface_template(), dlib_landmarks(torch.from_numpy(points)[None]))[0]
    theirs = np.linalg.inv(np.vstack([estimate_norm(points), [0, 0, 1]]))[:2]
    assert np.abs(ours.numpy() - theirs).max() < 1e-3


def test_pixels_and_vectors_are_those_of_insightface(pack, theirs, picture):
    (face,), (their_face,) = pack.detect(picture), theirs.get(picture[..., ::-1])
    ours = (cut_faces([picture], [face], arcface_chips)[0] * 255).permute(1, 2, 0).numpy()
    assert np.abs(ours - norm_crop(picture, their_face.kps)).mean() < 3
    vector = pack.embed([picture], [face])[0]
    assert vector @ their_face.normed_embedding > 0.9995


def test_a_conversion_to_grey_or_blue_would_be_noticed(pack, picture):
    """The network hears the colours, so the law above could fail."""
    (face,) = pack.detect(picture)
    swapped = pack.embed([np.ascontiguousarray(picture[..., ::-1])], [face])[0]
    assert pack.embed([picture], [face])[0] @ swapped < 0.99


def test_vectors_are_of_unit_norm_not_centred_and_do_not_depend_on_the_batch(pack, theirs, photos):
    images = [gallery[0] for gallery in photos.values()]
    faces = [detect_faces(image)[0] for image in images]
    vectors = pack.embed(images, faces)
    assert vectors.shape == (3, 512)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    chips = (cut_faces(images, faces, arcface_chips) * 255).round().byte()
    raw = theirs.models["recognition"].get_feat(list(chips.permute(0, 2, 3, 1).flip(-1).numpy()))
    assert np.abs(vectors - raw / np.linalg.norm(raw, axis=1, keepdims=True)).max() < 1e-5
    with ThreadPoolExecutor(3) as pool:
        alone = list(pool.map(lambda i: pack.embed(images[i : i + 1], faces[i : i + 1]), range(3)))
    assert np.abs(np.concatenate(alone) - vectors).max() < 1e-5
    assert pack.embed([], []).shape == (0, 512)


def test_a_recogniser_for_one_face_at_a_time_works_and_leaves_detection_to_us(tmp_path, photos):
    save_recogniser(tmp_path / "one.onnx", batch=1)
    pack = InsightFacePack(open_recogniser(tmp_path / "one.onnx"), "one")
    image = photos[900000][0]
    (ours,) = detect_faces(image)
    (face,) = pack.detect(image)
    assert np.array_equal(face.landmarks, ours.landmarks)
    assert pack.refind(image, face) is face
    assert pack.embed([image] * 3, [face] * 3).shape == (3, 512)
    assert pack.sha256 == hashlib.sha256((tmp_path / "one.onnx").read_bytes()).hexdigest()


def test_the_hash_is_that_of_both_files_because_both_decide(pack, pack_folder):
    files = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in pack_folder.iterdir()}
    assert pack.file_hashes == files
    assert pack.sha256 == combined_sha256(files)


def test_a_reference_is_seen_as_the_frames_are(pack, picture):
    (face,) = pack.detect(picture)
    near = Face(box=face.box + 20, landmarks=face.landmarks + 5, score=1.0)
    far = Face(box=face.box + 250, landmarks=face.landmarks + 250, score=1.0)
    assert np.array_equal(pack.refind(picture, near).landmarks, face.landmarks)
    assert pack.refind(picture, far) is far


def test_a_pack_measures_a_clip_with_its_own_detector(pack, picture, photos):
    """The reference's face and the frames' are one and the same picture here."""
    from idvid.faces.quality import ReferenceFace

    (face,) = pack.detect(picture)
    wrong = Face(box=face.box + 3, landmarks=face.landmarks + 30, score=1.0)
    reference = ReferenceFace(
        photo_index=0, image=picture, face=wrong, embedding=np.zeros(128, np.float32)
    )
    clip = Clip(frames=np.stack([picture] * 6), fps=12)
    report = measure_clip(clip, {"Ana": (reference,)}, pack)
    assert (report.judge_name, report.judge_sha256) == ("tiny", pack.sha256)
    (ana,) = report.characters
    assert ana.presence == 1
    assert ana.id_sim_mean == pytest.approx(1, abs=1e-4)


def test_nested_folders_are_looked_through_and_several_packs_are_not_guessed(tmp_path):
    save_pack(tmp_path / "zip" / "antelopev2" / "antelopev2")
    assert open_pack(tmp_path / "zip").vector == 512
    save_pack(tmp_path / "zip" / "buffalo_l")
    with pytest.raises(ModelError, match=r"2 face packs \(antelopev2, buffalo_l\)"):
        open_pack(tmp_path / "zip")


def broken(folder, pack_folder):
    """What is wrong with a pack -> the sentence that says so."""
    rec, det = pack_folder / "rec.onnx", pack_folder / "det.onnx"

    def copy(name, *files):
        (folder / name).mkdir()
        for file in files:
            shutil.copy(file, folder / name)
        return folder / name

    yield folder / "buffalo_l", r"no \.onnx file"
    yield copy("lonely", rec), "no face detector"
    yield copy("nameless", det), "no face recogniser"
    cut = copy("cut", det)
    (cut / "rec.onnx").write_bytes(rec.read_bytes()[:-2000])
    yield cut, "damaged"
    text = copy("text", det)
    (text / "rec.onnx").write_text("<html>Not found</html>")
    yield text, "damaged"
    large = copy("large", det)
    save_recogniser(large / "rec.onnx", size=128)
    yield large, "takes 128 px pictures, we cut 112"
    twofold = copy("twofold", det)
    save_recogniser(twofold / "rec.onnx", outputs=2)
    yield twofold, "several outputs"
    blind = copy("blind", rec)
    save_detector(blind / "det.onnx", outputs=6)
    yield blind, "has 6 outputs"
    odd = copy("odd", rec)
    save_detector(odd / "det.onnx", last=3)
    yield odd, "do not give what ArcFace and SCRFD give"


def test_every_fault_of_a_pack_is_one_sentence_and_nothing_is_downloaded(tmp_path, pack_folder):
    for folder, reason in broken(tmp_path, pack_folder):
        with pytest.raises(ModelError, match=reason) as caught:
            open_pack(folder)
        assert str(tmp_path) not in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match=r"lacks glintr100\.onnx"):
        open_recogniser(tmp_path / "glintr100.onnx")
    with pytest.raises(ModelError, match="is no face recogniser"):
        open_recogniser(pack_folder / "det.onnx")


def test_cuda_comes_first_where_it_is_offered_and_ours():
    cuda, cpu = "CUDAExecutionProvider", "CPUExecutionProvider"
    offered = ["TensorrtExecutionProvider", cuda, cpu]
    first, second = torch.device("cuda"), torch.device("cuda:1")
    assert execution_providers(offered, first) == [(cuda, {"device_id": 0}), cpu]
    assert execution_providers(offered, second) == [(cuda, {"device_id": 1}), cpu]
    assert execution_providers(offered, torch.device("cpu")) == [cpu]
    assert execution_providers(["AzureExecutionProvider", cpu], first) == [cpu]
