import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

import numpy as np
import pytest

from idvid.errors import ModelError
from idvid.faces.detect import detect_faces
from idvid.faces.embed import _load_judge, load_judge

JUDGE = files("idvid") / "weights" / "judge"


@pytest.fixture(scope="module")
def found(photos):
    images = [image for gallery in photos.values() for image in gallery]
    return images, [detect_faces(image)[0] for image in images]


def test_vectors_have_unit_norm_and_tell_people_apart(found):
    vectors = load_judge().embed(*found)
    assert vectors.dtype == np.float32
    assert vectors.shape == (12, 128)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = vectors @ vectors.T
    person = np.arange(12) // 4
    same = (person[:, None] == person) & ~np.eye(12, dtype=bool)
    assert cosines[same].min() > cosines[person[:, None] != person].max()


def test_strangers_are_near_zero_only_because_of_centring(found):
    judge = load_judge()
    vectors = judge.embed(*found)
    strangers = vectors[:4] @ vectors[4:8].T
    assert abs(strangers.mean()) < 0.35
    assert judge.mean_embedding.norm() > 1.0


def test_a_face_does_not_depend_on_its_batch(found):
    images, faces = found
    judge = load_judge()
    alone = np.concatenate(
        [judge.embed([i], [f]) for i, f in zip(images[:5], faces[:5], strict=True)]
    )
    assert np.abs(judge.embed(images[:5], faces[:5]) - alone).max() < 1e-5


def test_no_face_gives_no_vector():
    assert load_judge().embed([], []).shape == (0, 128)


def test_judge_loads_once_and_four_threads_agree(found):
    images, faces = found
    _load_judge.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        judges = list(pool.map(lambda _: load_judge(), range(4)))
        assert all(judge is judges[0] for judge in judges)
        vectors = list(pool.map(lambda _: judges[0].embed(images[:3], faces[:3]), range(4)))
    assert all(np.array_equal(v, vectors[0]) for v in vectors)


def test_no_weight_file_is_too_large_and_sources_are_named():
    sizes = [file.stat().st_size for file in JUDGE.iterdir()]
    assert max(sizes) < 9_500_000
    points = (JUDGE / "shape_predictor_5_face_landmarks.dat").read_bytes()
    assert hashlib.sha256(points).hexdigest() in (JUDGE / "PROVENANCE.md").read_text("utf-8")


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    shutil.copytree(JUDGE, tmp_path / "weights" / "judge")
    shard = tmp_path / "weights" / "judge" / "model-00002-of-00003.safetensors"
    content = bytearray(shard.read_bytes())
    content[5000] ^= 1
    shard.write_bytes(content)
    monkeypatch.setattr("idvid.faces.embed.files", lambda _: tmp_path)
    with pytest.raises(ModelError, match="damaged"):
        _load_judge.__wrapped__()


def test_the_judge_sees_faces_as_its_detector_does(found):
    images, faces = found
    judge = load_judge()
    seen = judge.detect(images[0])[0]
    assert np.array_equal(seen.landmarks, faces[0].landmarks)
    assert judge.refind(images[0], faces[0]) is faces[0]
