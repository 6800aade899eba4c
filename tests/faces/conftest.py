"""Synthetic people as pictures, rendered once with validation seeds 900000, 900001 and 900004."""

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DATA = Path(__file__).parent / "data"
MODEL_FILE = "dlib_face_recognition_resnet_model_v1.dat"


def _picture(name):
    with Image.open(DATA / name) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.fixture(scope="session")
def photos():
    """Three people, four good portraits (224, 224, 3) each."""
    return {
        seed: tuple(_picture(f"person{seed}_{i}.webp") for i in range(4))
        for seed in (900000, 900001, 900004)
    }


@pytest.fixture(scope="session")
def turned_photo():
    """A head turned by 40 degrees."""
    return _picture("turned40.webp")


@pytest.fixture(scope="session")
def clip():
    """Twelve frames (12, 128, 224, 3) at 12 fps with people 900000 and 900001."""
    return _picture("clip_900000_900001.webp").reshape(12, 128, 224, 3)


@pytest.fixture(scope="session")
def dlib_model():
    """dlib's own model file: from the folder in IDVID_DLIB_MODELS, or an installed package."""
    folders = [Path(os.environ["IDVID_DLIB_MODELS"])] if "IDVID_DLIB_MODELS" in os.environ else []
    package = find_spec("face_recognition_models")
    if package and package.submodule_search_locations:
        folders += [Path(folder) / "models" for folder in package.submodule_search_locations]
    for folder in folders:
        if (folder / MODEL_FILE).is_file():
            return folder / MODEL_FILE
    pytest.skip(f"{MODEL_FILE} is not here: set IDVID_DLIB_MODELS to its folder")
