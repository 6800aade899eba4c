"""What `auto` takes on which machine, and what is said of a model before it is fetched."""

from __future__ import annotations

from dataclasses import replace

import pytest
import wan_tiny

from idvid.pipeline.choosing import AUTO, choose, choose_public, pick_best
from idvid.pipeline.offers import describe, fit_here
from idvid.pipeline.vace_options import VaceOptions
from idvid.runtime import GIB, Machine


def machine(gib, ram=64, gpus=1):
    return Machine(gpu_free=(int(gib * GIB),) * gpus, ram_free=ram * GIB)


def auto(here):
    def plan_of(choice):
        return fit_here(choice, here, None).plan

    return choose(AUTO, lambda: pick_best(here, plan_of))


@pytest.mark.parametrize(
    ("here", "name", "why"),
    [
        (machine(0, gpus=0), "bundled", "there is no CUDA GPU here"),
        (machine(2, ram=8), "bundled", "no photoreal model fits the 2.0 GiB"),
        (machine(7), "vace-1.3b", "and it is the smallest (plan group-offload)"),
        (machine(24), "vace-1.3b", "full speed in the 24.0 GiB that are free on the GPU (plan enc"),
        (machine(80), "vace-14b", "full speed in the 80.0 GiB that are free on the GPU (plan gpu)"),
    ],
)  # fmt: skip
def test_auto_takes_the_best_that_fits_and_says_why(here, name, why):
    choice = auto(here)
    assert choice.name == name
    assert why in choice.why
    assert choice.why.startswith("auto takes ")
    assert choice.why.endswith(".")


@pytest.mark.parametrize("key", ["vace-1.3b", "vace-14b"])
def test_a_model_of_the_catalogue_is_the_same_under_its_own_name(key):
    menu = choose(key, lambda: None)
    assert choose_public(menu.source.repo, lambda: None).is_same(menu)
    branch = choose(f"{menu.source.repo}@main", lambda: None)
    assert branch.source.revision == "main"  # who asks for another revision gets it


def offer(name, here, **options):
    choice = choose(name, lambda: None)
    return describe(choice, fit_here(choice, here, VaceOptions(**options)))


def test_windows_shrink_until_they_fit():
    choice = choose("vace-14b", lambda: None)
    fit = fit_here(choice, machine(7.6), None)
    assert fit.options.window_frames == fit.pass_frames < 81
    assert fit.plan.name == "group-offload"
    nothing = fit_here(choice, machine(1), None)
    assert nothing.plan is None
    assert "needs at least" in nothing.problem


def test_licence_limits_and_plan_are_said_without_the_hub(no_hub):
    facts = dict(offer("vace-1.3b", machine(24)).facts)
    assert facts["Licence"] == "Apache-2.0, no territory excluded."
    assert facts["Limits"] == (
        "Up to 4 people (its makers show 3); up to 30 s in windows of 5.1 s; 832x480 pixels, "
        "16 frames a second."
    )
    assert "plan encoder-off takes" in facts["Plan"]
    assert "the network is off" in facts["Download"]


def test_the_bundled_model_needs_nothing():
    facts = dict(offer("bundled", machine(0, gpus=0)).facts)
    assert facts["Download"] == "None; it comes with idvid."
    assert facts["Plan"] == "It runs on any machine, and no plan is needed."
    assert facts["Limits"].startswith("Up to 8 people; up to 30 s; 224x128 pixels")


def test_a_folder_shows_its_name_and_not_its_path(vace_folder):
    shown = offer(str(vace_folder), machine(24), **wan_tiny.VACE_SIZE)
    text = " ".join(sentence for _, sentence in shown.facts)
    assert str(vace_folder.parent) not in text
    assert shown.choice.title == vace_folder.name
    assert "a folder of this machine" in text
    assert "Not known here; read it" in dict(shown.facts)["Licence"]


def test_a_territory_that_a_licence_leaves_out_is_said(no_hub, monkeypatch):
    from idvid.hub import CATALOGUE

    cards = tuple(replace(card, territory="the EU", notice="Ask.") for card in CATALOGUE)
    monkeypatch.setattr("idvid.pipeline.choosing.CATALOGUE", cards)
    facts = dict(offer("vace-1.3b", machine(24)).facts)
    assert facts["Licence"] == "Apache-2.0, not in the EU. Ask."
