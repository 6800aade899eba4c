"""Training on several GPUs: the file that ships is accelerate's own, and shards what we train.

There is no second GPU here: one process with gloo makes the same sharded tensors, and accelerate is
told that its device is one of several.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from accelerate import DistributedType, FullyShardedDataParallelPlugin, PartialState
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.state import AcceleratorState
from accelerate.utils.launch import prepare_multi_gpu_env
from test_training_adapter import SETTINGS, backbone, clips_of, shards
from torch.distributed.tensor import DTensor

import idvid.training
from idvid.models.wan_adapter import load_wan_adapter
from idvid.training.adapter import AdapterRun, AdapterTrainer

__all__ = ["shards"]  # a fixture

CONFIG = Path(idvid.training.__file__).with_name("fsdp.yaml")


def launch_arguments(config=CONFIG):
    """What `accelerate launch --config_file` makes of a file."""
    command = ["--config_file", str(config), "-m", "idvid", "train", "adapter"]
    return _validate_launch_command(launch_command_parser().parse_args(command))[0]


def unknown_keys(config):
    """The launcher itself takes any key below `fsdp_config` in silence."""
    known = {action.dest for action in launch_command_parser()._actions}
    return set(load_config_from_file(str(config)).fsdp_config) - known


def test_accelerate_reads_every_key():
    assert load_config_from_file(str(CONFIG)).distributed_type == DistributedType.FSDP
    assert unknown_keys(CONFIG) == set()
    assert launch_arguments().use_fsdp
    assert launch_arguments().fsdp_version == 2


def test_a_wrong_key_would_be_seen(tmp_path):
    spoilt, content = tmp_path / "fsdp.yaml", yaml.safe_load(CONFIG.read_text())
    spoilt.write_text(yaml.safe_dump(content | {"fsdp_shards": 2}))
    with pytest.raises(ValueError, match="fsdp_shards"):
        launch_arguments(spoilt)
    content["fsdp_config"]["fsdp_shards"] = 2
    spoilt.write_text(yaml.safe_dump(content))
    assert unknown_keys(spoilt) == {"fsdp_shards"}


@pytest.fixture
def several(monkeypatch, tmp_path):
    """accelerate as in one of several processes that were launched with our file."""
    for name, value in prepare_multi_gpu_env(launch_arguments()).items():
        if name.startswith(("FSDP_", "ACCELERATE_")):
            monkeypatch.setenv(name, value)
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    monkeypatch.setitem(PartialState()._shared_state, "distributed_type", DistributedType.MULTI_GPU)
    monkeypatch.setattr(torch.distributed, "barrier", lambda **_: None)  # gloo has no device ids
    yield
    torch.distributed.destroy_process_group()


def trained(run):
    trainer = AdapterTrainer(run, SETTINGS, backbone())
    for step in range(2):
        trainer.step(step)
    trainer.save()
    return trainer


def weights(run):
    return load_wan_adapter(run.folder / "adapter").identity_layers.state_dict()


def test_shared_out_it_learns_the_same(vace_folder, shards, tmp_path, request):
    torch.manual_seed(0)
    alone = AdapterRun(base=str(vace_folder), clips=clips_of(shards), folder=tmp_path / "alone")
    trained(alone)
    AcceleratorState._reset_state(reset_partial_state=True)

    request.getfixturevalue("several")
    torch.manual_seed(0)
    shared = AdapterRun(base=str(vace_folder), clips=clips_of(shards), folder=tmp_path / "shared")
    trainer = trained(shared)
    assert isinstance(trainer.accelerator.state.fsdp_plugin, FullyShardedDataParallelPlugin)
    assert trainer.accelerator.is_fsdp2
    blocks = trainer.pipeline.transformer.blocks
    assert all(isinstance(p, DTensor) for p in blocks.parameters())
    assert blocks[0].attn2.id_kv.gate.device_mesh.size() == 1
    ours, theirs = weights(shared), weights(alone)
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)
    assert any(value.any() for name, value in ours.items() if name.endswith("gate"))


def test_blocks_are_computed_again_in_the_backward_pass(vace_folder, shards, tmp_path):
    run = AdapterRun(base=str(vace_folder), clips=clips_of(shards), folder=tmp_path)
    transformer = AdapterTrainer(run, SETTINGS, backbone()).pipeline.transformer
    assert transformer.is_gradient_checkpointing
    assert transformer.training
