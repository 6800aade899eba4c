"""What a GPU measured once holds the estimates to account ever after."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_models import FULL, build
from benchmarks.gpu_plans import footprint_of, plans_of
from idvid.runtime import VAE, Machine, make_plan

RESULTS = Path(gpu.__file__).parent / "results" / "2026-11-26-gpu" / "gpu.json"
MODEL = "VACE-1.3B"


@pytest.fixture(scope="module")
def footprint():
    parts = {
        name: build(part, torch.device("meta"), torch.float32 if name == VAE else torch.bfloat16)
        for name, part in FULL.models[MODEL].items()
    }
    return footprint_of(MODEL, parts, FULL)


def test_plans_are_within_a_tenth_of_every_measured_peak_and_never_under(footprint):
    measured = json.loads(RESULTS.read_text())
    roomy = make_plan(footprint, Machine(gpu_free=(80 * 10**9,), ram_free=64 * 10**9))
    plans = {(plan.name, plan.layout.tiled): plan for plan in (roomy, *plans_of(footprint))}
    peaks = [(("gpu", False), row["peak_gib"]) for row in measured["whole"]]
    peaks += [((row["plan"], row["tiled"]), row["peak_gib"]) for row in measured["plans"]]
    assert len(peaks) >= 5
    for name, peak in peaks:
        planned = plans[name].peak_vram[0] / 2**30
        assert peak <= planned <= 1.1 * peak, (name, planned, peak)
