"""What ships: new parts over old ones, and never a student without its own teacher."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from idvid.models.checkpoint import REENACTOR, STUDENT, load_bundled, save_bundled, save_part
from tools.ship_model import ship


@pytest.fixture
def shipped(tiny_model, tmp_path):
    """A shipped model with a student."""
    save_bundled(replace(tiny_model, transformer_few=tiny_model.transformer), tmp_path / "to")
    return tmp_path / "to"


@pytest.mark.parametrize(
    ("brought", "stays"),
    [(("planner",), True), (("transformer",), False), (("transformer", STUDENT), True)],
)
def test_a_new_teacher_sends_the_old_student_away(
    tiny_model, tiny_folder, shipped, tmp_path, brought, stays
):
    run = tmp_path / "run"
    shutil.copytree(tiny_folder / "tokenizer", run / "tokenizer")
    for name in brought:
        save_part(tiny_model.parts().get(name, tiny_model.transformer), run / name)
    ship(run, shipped)
    assert (load_bundled(shipped).transformer_few is not None) == stays
    assert (shipped / STUDENT).exists() == stays


def test_a_student_alone_joins_its_teacher(tiny_model, tiny_folder, tmp_path):
    run, to = tmp_path / "run", tmp_path / "to"
    shutil.copytree(tiny_folder, to)
    save_part(tiny_model.transformer, run / STUDENT)
    ship(run, to)
    model = load_bundled(to)
    found = model.transformer_few.patch_in.weight
    assert torch.equal(found, model.transformer.patch_in.weight)


def test_a_reenactor_joins_alone_and_stays_when_others_come(tiny_model, tiny_folder, tmp_path):
    to, first, second = tmp_path / "to", tmp_path / "first", tmp_path / "second"
    save_bundled(replace(tiny_model, reenactor=None), to)
    save_part(tiny_model.reenactor, first / REENACTOR)
    ship(first, to)
    save_part(tiny_model.planner, second / "planner")
    ship(second, to)
    found = load_bundled(to).reenactor.state_dict()
    for name, value in tiny_model.reenactor.state_dict().items():
        assert torch.equal(found[name], value.half().float())
