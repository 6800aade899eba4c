"""Our judge against dlib itself."""

import importlib

import numpy as np
import torch

from idvid.faces.convert_dlib import read_dlib_net
from idvid.faces.detect import _predictor, detect_faces
from idvid.faces.embed import cut_faces, face_chips, load_judge

dlib = importlib.import_module("dlib")


def _dlib_chip(image, face):
    box = dlib.rectangle(*(round(float(edge)) for edge in face.box))
    return dlib.get_face_chip(image, _predictor()(image, box), 150, 0.25)


def _tensor(chips):
    return torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2).float() / 255


def test_shipped_weights_agree_with_dlib_below_1e_5(dlib_model, photos):
    own = dlib.face_recognition_model_v1(str(dlib_model))
    images = [gallery[0] for gallery in photos.values()]
    chips = [_dlib_chip(image, detect_faces(image)[0]) for image in images]
    theirs = np.array([own.compute_face_descriptor(chip) for chip in chips])
    ours = load_judge().net(_tensor(chips)).numpy()
    assert np.abs(ours - theirs).max() < 1e-5


def test_conversion_reproduces_the_shipped_weights(dlib_model):
    shipped = load_judge().net.state_dict()
    converted = read_dlib_net(dlib_model).state_dict()
    assert shipped.keys() == converted.keys()
    assert all(torch.equal(shipped[name], converted[name]) for name in shipped)


def test_our_chip_gives_the_vector_of_dlibs_chip(photos):
    net = load_judge().net
    for gallery in photos.values():
        for image in gallery[:2]:
            face = detect_faces(image)[0]
            ours = net(cut_faces([image], [face], face_chips))
            theirs = net(_tensor([_dlib_chip(image, face)]))
            assert torch.cosine_similarity(ours, theirs).item() > 0.99
