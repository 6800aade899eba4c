"""Laws of the planner, on a model of round numbers."""

import dataclasses

import pytest

from idvid.config import QUANTISATIONS
from idvid.errors import ModelError
from idvid.runtime import (
    GIB,
    PLAN_NAMES,
    TEXT_ENCODER,
    TRANSFORMER,
    VAE,
    ComponentSize,
    Footprint,
    Machine,
    Phase,
    WeightBytes,
    make_plan,
    step_down,
)
from idvid.runtime.peaks import free_for, usable

WEIGHTS = ("bfloat16", "float32", "int8", "fp8", "nf4")


def component(name, size_gib, block_gib, layer_gib=0.0):
    shrink = {"bfloat16": 1, "float32": 2, "int8": 0.5, "fp8": 0.5, "nf4": 0.25}
    return ComponentSize(
        name=name,
        class_name="Any",
        num_params=int(size_gib * GIB / 2),
        weights=tuple(
            WeightBytes(
                precision=w,
                total=int(size_gib * GIB * shrink[w]),
                streamed=int(2 * block_gib * GIB * shrink[w]),
                largest_block=int(block_gib * GIB * shrink[w]),
                largest_layer=int(layer_gib * GIB) if shrink[w] < 1 else 0,
                pinned=int(1.5 * size_gib * GIB * shrink[w]),
            )
            for w in (WEIGHTS if name != VAE else ("float32",))
        ),
    )


def phase(name, gib, tiled=None):
    size, small = int(gib * GIB), int((tiled or gib) * GIB)
    return Phase(component=name, activation=size, activation_tiled=small)


MODEL = Footprint(
    model="Some-14B",
    components=(
        component(TEXT_ENCODER, 10, 1),
        component(TRANSFORMER, 20, 0.5, layer_gib=0.1),
        component(VAE, 0.25, 0.05),  # always in float32, so 0.5
    ),
    phases=(phase(TEXT_ENCODER, 0.2), phase(TRANSFORMER, 4), phase(VAE, 8, tiled=2)),
)


def machine(*gpus, ram=128):
    return Machine(gpu_free=tuple(int(g * GIB) for g in gpus), ram_free=ram * GIB)


def plan(*gpus, ram=128, quantise="none", model=MODEL):
    return make_plan(model, machine(*gpus, ram=ram), quantise)


def chain(best):
    plans = [best]
    while plans[-1].fallbacks:
        plans.append(step_down(plans[-1]))
    return plans


@pytest.mark.parametrize(
    ("gpus", "name", "tiled"),
    [
        ((80,), "gpu", False),
        ((48,), "gpu", False),
        ((32,), "encoder-off", False),
        ((27,), "model-offload", False),
        ((16,), "group-offload", False),
        ((8,), "group-offload", True),
        ((26.5, 26.5), "model-offload", False),
        ((22, 22, 22), "split", False),
        ((6,), "cpu", False),
        ((), "cpu", False),
    ],
)
def test_the_best_plan_that_fits_is_taken(gpus, name, tiled):
    best = plan(*gpus)
    assert (best.name, best.layout.tiled) == (name, tiled)


@pytest.mark.parametrize("quantise", QUANTISATIONS)
@pytest.mark.parametrize("vram", [6, 8, 12, 16, 24, 32, 48, 80])
def test_a_plan_fits_and_its_fallbacks_take_less_and_less(vram, quantise):
    try:
        plans = chain(plan(vram, quantise=quantise))
    except ModelError:
        assert quantise != "none"
        return
    peaks = [max(p.peak_vram, default=0) for p in plans]
    assert all(peak <= usable(vram * GIB) for peak in peaks)
    assert sorted(set(peaks), reverse=True) == peaks
    assert {p.quantise for p in plans} == {quantise}, "only the user quantises"
    assert [PLAN_NAMES.index(p.name) for p in plans][-1] == max(
        PLAN_NAMES.index(p.name) for p in plans
    )
    assert all(p.ram <= 128 * GIB for p in plans)


def test_more_memory_never_gives_a_lower_plan():
    order = [(name, tiled) for tiled in (False, True) for name in PLAN_NAMES]
    last = len(order)
    for vram in range(4, 90):
        best = plan(vram)
        rank = PLAN_NAMES.index(best.name)
        if not best.layout.tiled:
            assert rank <= last
            last = rank


def test_the_lowest_plan_has_no_lower_one():
    lowest = chain(plan(80))[-1]
    assert lowest.name == "group-offload", "hours on the CPU are nobody's wish unasked"
    with pytest.raises(ModelError, match=r"ran out of memory with plan group-offload, .*\.$"):
        step_down(lowest)


def test_all_on_one_gpu_is_the_sum_of_weights_and_the_largest_phase():
    best = plan(80)
    expected = (10 + 20 + 0.5 + 8 * 1.15 + 1 / 16) * GIB
    assert best.peak_vram == (pytest.approx(expected, rel=1e-6),)
    assert best.ram == pytest.approx((4 + 30.5) * GIB)
    assert "full speed" in best.sentence
    assert "39.8 GiB of GPU memory" in best.sentence
    assert best.sentence.endswith(best.why)


def test_each_lower_plan_counts_what_is_resident_in_its_worst_phase():
    peaks = {(p.name, p.layout.tiled): p.peak_vram[0] / GIB for p in chain(plan(80))}
    margin = 1.05
    assert peaks[("encoder-off", False)] == pytest.approx(20.5 + 8 * 1.15 + 1 / 16)
    assert peaks[("model-offload", False)] == pytest.approx(20 + 4 * margin + 1 / 16)
    assert peaks[("group-offload", True)] == pytest.approx(1 + 0.5 + 4 * margin + 1 / 16)


def test_a_quantised_layer_is_unpacked_while_it_computes():
    best = plan(48, quantise="fp8")
    phases = (10 / 2 + 20 / 2 + 0.5) + 8 * 1.15 + 1 / 16
    assert best.peak_vram[0] / GIB == pytest.approx(phases)
    worst_in_transformer = dataclasses.replace(
        MODEL, phases=(MODEL.phases[0], phase(TRANSFORMER, 9), phase(VAE, 7))
    )
    layered = plan(48, quantise="fp8", model=worst_in_transformer)
    assert layered.peak_vram[0] / GIB == pytest.approx(15.5 + 9 * 1.05 + 0.1 + 1 / 16)


def test_page_locked_memory_is_given_up_when_ram_is_short():
    roomy, tight = plan(16, ram=64), plan(16, ram=40)
    assert (roomy.name, roomy.layout.pins) == ("group-offload", True)
    assert (tight.name, tight.layout.pins) == ("group-offload", False)
    assert tight.ram < roomy.ram


def test_the_split_uses_every_gpu_within_its_limits():
    best = plan(22, 22, 22)
    assert best.name == "split"
    assert len(best.peak_vram) == 3
    assert all(peak <= usable(22 * GIB) for peak in best.peak_vram)
    assert sum(best.layout.shares) >= 20 * GIB
    assert step_down(best).name == "group-offload"


def test_the_gpu_with_most_room_is_used():
    assert plan(8, 80).gpu == 1
    assert plan(80, 8).gpu == 0


@pytest.mark.parametrize("quantise", ["int8", "fp8", "nf4"])
def test_quantised_weights_need_a_gpu(quantise):
    with pytest.raises(ModelError, match=r"need a CUDA GPU and there is none; .*\.$"):
        plan(quantise=quantise)
    with pytest.raises(ModelError, match="There is no quantisation"):
        plan(80, quantise="int2")


def test_what_cannot_be_streamed_is_never_streamed():
    for vram in range(4, 48):
        try:
            names = {p.name for p in chain(plan(vram, quantise="nf4"))}
        except ModelError:
            continue
        assert not names & {"encoder-stream", "group-offload", "split", "cpu"}


def test_what_fits_nowhere_is_one_sentence_with_true_needs():
    with pytest.raises(ModelError) as caught:
        plan(6, ram=16)
    text = str(caught.value)
    assert text.startswith("Some-14B needs at least ")
    need = float(text.split("at least ")[1].split(" GiB")[0])
    assert plan(need + 0.1, ram=128).name == "group-offload"
    with pytest.raises(ModelError):
        plan(need - 0.2, ram=16)


def test_room_that_is_asked_for_is_the_room_that_is_needed():
    for peak in (GIB, 7 * GIB, 70 * GIB):
        assert peak <= usable(free_for(peak)) <= peak + 2
