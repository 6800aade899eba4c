"""The block at the top of README, and what docs/duplicating.md says to add to it.

Keys: https://huggingface.co/docs/hub/spaces-config-reference
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import SpaceHardware

from idvid.hub import CATALOGUE
from idvid.runtime import PLAN_NAMES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs" / "duplicating.md").read_text()
KEYS = {
    *("title", "emoji", "colorFrom", "colorTo", "sdk", "python_version", "sdk_version"),
    *("suggested_hardware", "suggested_storage", "app_file", "app_build_command", "app_port"),
    *("base_path", "fullWidth", "header", "short_description", "models", "datasets", "tags"),
    *("thumbnail", "pinned", "hf_oauth", "hf_oauth_scopes", "hf_oauth_expiration_minutes"),
    *("disable_embedding", "startup_duration_timeout", "custom_headers", "preload_from_hub"),
    *("license",),
}
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
HARDWARE = {hardware.value for hardware in SpaceHardware}
REPOS = {card.ref.repo: card.ref for card in CATALOGUE}
_FILE = r"[\w./-]+"
PRELOADED = re.compile(rf"([\w.-]+/[\w.-]+)(?: ({_FILE}(?:,{_FILE})*))?(?: ([0-9a-f]{{40}}))?")


def card():
    return yaml.safe_load(README.split("---\n")[1])


def addition():
    return yaml.safe_load(re.search(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)[1])


@pytest.mark.parametrize("block", [card, addition])
def test_the_card_has_only_what_spaces_know(block):
    values = block()
    assert set(values) <= KEYS
    assert values["suggested_hardware"] in HARDWARE
    assert {values.get("colorFrom", "red"), values.get("colorTo", "red")} <= COLOURS
    assert re.fullmatch(r"\d+[mh]", values.get("startup_duration_timeout", "1h"))


def test_the_card_names_the_models_that_the_page_may_load():
    assert set(card()["models"]) <= set(REPOS)
    assert "Wan-AI/Wan2.1-VACE-1.3B-diffusers" in card()["models"]


def test_nothing_large_is_loaded_into_a_free_space():
    assert card()["suggested_hardware"] == "cpu-basic"
    assert "preload_from_hub" not in card()


def test_what_may_be_preloaded_is_what_the_catalogue_asks_for():
    """All files that are named there and no other, of the same commit; else the whole model."""
    entries = [PRELOADED.fullmatch(entry) for entry in addition()["preload_from_hub"]]
    assert entries
    assert all(entries)
    for entry in entries:
        repo, files, commit = entry.groups()
        assert repo in REPOS
        known = REPOS[repo]
        assert set(known.named_files) == set(files.split(",") if files else ())
        assert commit == (known.revision if files else None)
    assert "unset, or\n  preload nothing" in GUIDE, "Spaces preload into the default cache alone"


def test_the_guide_names_hardware_plans_and_variables_that_exist():
    table = GUIDE.split("## Which hardware")[1].split("## What it costs")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
    assert len(named & HARDWARE) >= 8
    assert named <= HARDWARE | set(PLAN_NAMES)
    variables = re.findall(r"^\| `(\w+)`", GUIDE.split("## Variables")[1], re.MULTILINE)
    assert variables
    assert all(f"`{name}`" in README for name in variables)
