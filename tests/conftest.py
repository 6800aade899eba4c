"""Fixtures that several parts share, a tiny model among them; and who runs which test."""

from __future__ import annotations

import gc
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn
    from xdist.remote import Producer

    from idvid.models.checkpoint import BundledModel

if "PYTEST_XDIST_WORKER" in os.environ:  # two at once: threads of both would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("IDVID_THREADS", "1")

WORDS = ("a", "and", "hair", "left", "man", "on", "right", "smiles", "the", "woman")
TINY = {
    "autoencoder": {
        "latent_channels": 4,
        "widths": (8, 8, 16),
        "decoder_blocks": (0, 0, 1),
        "encoder_blocks": (0, 0, 1),
    },
    "backbone": {"widths": (8, 8, 8, 8), "blocks": (1, 1, 1, 1), "vector": 32},
    "identity_encoder": {
        "face_vector": 32,
        "patch_features": 16,
        "width": 64,
        "num_tokens": 4,
        "depth": 1,
    },
    "identity_bank": {"width": 64},
    "prompt_encoder": {"width": 64, "depth": 1},
    "transformer": {"latent_channels": 4, "width": 64, "depth": 2},
    "planner": {"width": 64, "depth": 1, "text_width": 64},
    "planner_prompt_encoder": {"width": 64, "depth": 1},
}

# Their files share servers, a browser and rendered shards, which take seconds to begin: one worker.
WHOLE_FOLDERS = ("tests/ui/", "tests/training/")


class FolderScheduling(LoadFileScheduling):
    """Gives a worker a file at a time, of some folders all files at once."""

    def _split_scope(self, nodeid: str) -> str:
        folders = (folder for folder in WHOLE_FOLDERS if nodeid.startswith(folder))
        return next(folders, super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FolderScheduling:
    return FolderScheduling(config, log)


def pytest_collection_finish() -> None:
    """What the imports made stays to the end: collecting garbage need not look at it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_model() -> BundledModel:
    """Random weights, and every gate that training would open is open."""
    import torch

    from idvid.conditioning.text import build_tokenizer
    from idvid.models.checkpoint import new_model
    from idvid.models.head_matte import HeadMatte
    from idvid.models.head_reenactor import HeadReenactor

    torch.manual_seed(0)
    model = new_model(build_tokenizer(WORDS), **TINY)
    model = replace(
        model,
        reenactor=HeadReenactor(size_px=32, widths=(8, 8, 8), code=8).eval(),
        matte=HeadMatte(size_px=32, widths=(8, 8, 8), coarse_blocks=1).eval(),
    )
    with torch.no_grad():
        for part in model.parts().values():
            for name, value in part.named_parameters():
                if not value.any() or "gate" in name:
                    value.normal_(std=0.2)
    return model


@pytest.fixture(scope="session")
def tiny_folder(tiny_model: BundledModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a folder in the Hub's format."""
    from idvid.models.checkpoint import save_bundled

    folder = tmp_path_factory.mktemp("tiny") / "model"
    save_bundled(tiny_model, folder)
    return folder


@pytest.fixture(scope="session")
def wan_parts() -> dict[str, dict[str, nn.Module]]:
    """The public Wan models at full size, without weights; what they share is built once."""
    from idvid.models.parts import build_part
    from idvid.models.published import PUBLISHED
    from idvid.runtime import TRANSFORMER

    def key(model: str, name: str) -> str:
        return model if name == TRANSFORMER else name

    configs = {key(m, n): c for m, parts in PUBLISHED.items() for n, c in parts.items()}
    built = {name: build_part(config).requires_grad_(False) for name, config in configs.items()}
    return {m: {n: built[key(m, n)] for n in parts} for m, parts in PUBLISHED.items()}


@pytest.fixture(scope="session")
def vace_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny VACE model as the stock pipeline saves it, as on the Hub."""
    import wan_tiny
    from diffusers import WanVACEPipeline

    folder = tmp_path_factory.mktemp("vace") / "model"
    WanVACEPipeline(**wan_tiny.parts("vace")).save_pretrained(folder)
    return folder
