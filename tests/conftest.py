"""Fixtures that several parts share: a tiny model with random weights in the true format."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

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


@pytest.fixture(scope="session")
def tiny_model() -> BundledModel:
    """Random weights, and every gate that training would open is open."""
    import torch

    from idvid.conditioning.text import build_tokenizer
    from idvid.models.checkpoint import new_model
    from idvid.models.face_reenactor import FaceReenactor

    torch.manual_seed(0)
    model = new_model(build_tokenizer(WORDS), **TINY)
    model = replace(model, reenactor=FaceReenactor(size_px=32, widths=(8, 8, 8), code=8).eval())
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
