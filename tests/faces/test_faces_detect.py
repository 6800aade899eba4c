import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from idvid.faces.detect import detect_faces, find_in_each


def _resized(image, width):
    return np.asarray(Image.fromarray(image).resize((width, width), Image.Resampling.LANCZOS))


def test_one_face_in_every_portrait(photos):
    for gallery in photos.values():
        assert [len(detect_faces(image)) for image in gallery] == [1, 1, 1, 1]


@pytest.mark.parametrize("width", [56, 110, 448, 1500])
def test_landmarks_scale_with_the_picture(photos, width):
    image = photos[900000][0]
    (face,) = detect_faces(image)
    (other,) = detect_faces(_resized(image, width), min_face_px=20)
    scale = width / image.shape[1]
    error_px = np.abs((other.landmarks + 0.5) / scale - (face.landmarks + 0.5)).max()
    assert error_px < 0.06 * face.width_px


def test_landmarks_are_in_the_documented_order(photos):
    points = detect_faces(photos[900001][0])[0].landmarks
    assert points[2, 0] < points[3, 0] < points[4, 0] < points[1, 0] < points[0, 0]
    assert points[4, 1] > points[:4, 1].max()


def test_small_faces_in_video_frames_are_found(clip):
    assert [len(detect_faces(frame)) for frame in clip] == [2] * len(clip)


def test_largest_face_comes_first(photos):
    small = np.asarray(_resized(photos[900000][0], 112))
    canvas = np.full((260, 400, 3), 128, np.uint8)
    canvas[20:132, 10:122] = small
    canvas[20:244, 150:374] = photos[900001][0]
    faces = detect_faces(canvas)
    assert len(faces) == 2
    assert faces[0].width_px > 1.5 * faces[1].width_px
    assert faces[0].landmarks[:, 0].min() > 150


def test_nothing_is_found_where_nothing_is():
    noise = np.random.default_rng(900000).integers(0, 256, (120, 160, 3), np.uint8)
    assert detect_faces(noise) == ()
    assert detect_faces(np.zeros((1, 1, 3), np.uint8)) == ()


def test_four_threads_see_the_same(photos):
    images = [image for gallery in photos.values() for image in gallery[:1]]
    expected = [detect_faces(image)[0].landmarks for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: detect_faces(image)[0].landmarks, images * 2))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected * 2, strict=True))


def test_pictures_are_searched_side_by_side_and_answers_keep_their_order(photos, monkeypatch):
    monkeypatch.setenv("IDVID_THREADS", "2")
    images = [image for gallery in photos.values() for image in gallery[:1]]
    both = threading.Barrier(2, timeout=60)  # breaks unless two are searched at a time

    def detect(image):
        both.wait()
        return detect_faces(image)

    found = find_in_each(detect, images[:2])
    for faces, image in zip(found, images, strict=False):
        assert np.array_equal(faces[0].landmarks, detect_faces(image)[0].landmarks)


def test_what_goes_wrong_in_a_thread_is_raised(monkeypatch):
    monkeypatch.setenv("IDVID_THREADS", "2")

    def fail(image):
        raise MemoryError

    with pytest.raises(MemoryError):
        find_in_each(fail, [np.zeros((8, 8, 3), np.uint8)] * 2)
    assert find_in_each(fail, []) == []
