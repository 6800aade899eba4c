"""What a GPU measured once holds the estimates to account ever after."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_arms import with_identity
from benchmarks.gpu_models import FULL, build
from benchmarks.gpu_plans import footprint_of, plans_of
from idvid.config import QUANTISATIONS
from idvid.runtime import GIB, TRANSFORMER, VAE, Machine, make_plan

RESULTS = Path(gpu.__file__).parent / "results"
RUNS = ("2026-11-26-gpu", "2026-11-27-gpu", "2026-11-28-gpu")
MODELS = ("VACE-1.3B", "VACE-14B", "T2V-14B")
# The first two runs carried plans out on the stock pipeline, as every run does for its arm of that name. It
# keeps its source video to the end, where ours is done with it, and makes five videos, masks among
# them, beside the text encoder, where ours makes none (`placement.take_turn`).
ON_STOCK = RUNS[:2]
VIDEO = FULL.request.video_bytes / GIB
ROOMY = Machine(gpu_free=(80 * 10**9,), ram_free=64 * 10**9)


@pytest.fixture(scope="module")
def planned():
    """Expected peaks in GiB by model, plan, quantisation, tiling, and with identity layers or not."""
    peaks = {}
    for model in MODELS:
        bare = {
            name: build(
                part, torch.device("meta"), torch.float32 if name == VAE else torch.bfloat16
            )
            for name, part in FULL.models[model].items()
        }
        footprint = footprint_of(model, bare, FULL)
        for quantise in QUANTISATIONS:
            for plan in (make_plan(footprint, ROOMY, quantise), *plans_of(footprint, quantise)):
                key = (model, plan.name, quantise, plan.layout.tiled, False)
                peaks[key] = plan.peak_vram[0] / GIB
        added = make_plan(with_identity(footprint, bare[TRANSFORMER], FULL), ROOMY)
        peaks[model, added.name, "none", False, True] = added.peak_vram[0] / GIB
    return peaks


@pytest.mark.parametrize("run", RUNS)
def test_plans_are_within_a_tenth_of_every_measured_peak_and_never_under(planned, run):
    measured = json.loads((RESULTS / run / "gpu.json").read_text())
    peaks = [
        (
            (row["model"], "gpu", "none", False, row["arm"].startswith("identity")),
            row["peak_gib"],
            row["arm"] == "stock",
        )
        for row in measured["whole"]
    ]
    peaks += [
        (
            (row["model"], row["plan"], row["quantise"], row["tiled"], False),
            row["peak_gib"],
            run in ON_STOCK,
        )
        for row in measured["plans"]
    ]
    assert len(peaks) >= 5
    for name, peak, is_stock in peaks:
        beside = 5 if name[1] == "model-offload" else 1
        has_source = is_stock and name[0].startswith("VACE")
        expected = planned[name] + (beside * VIDEO if has_source else 0)
        assert peak <= expected <= 1.1 * peak, (name, expected, peak)
