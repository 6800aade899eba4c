"""Tiny runs on real data: two shards of rendered people, and models of a few thousand weights."""

from dataclasses import replace

import pytest
import torch
from accelerate.state import AcceleratorState

from idvid.training.autoencoder_stage import AutoencoderStage
from idvid.training.backbone_stage import BackboneStage
from idvid.training.cache import derivative_name, load_frozen, write_encoded
from idvid.training.feeder import FeederJob, make_shards
from idvid.training.loop import RunSettings, train
from idvid.training.records import Record, record_names, record_path
from idvid.training.settings import (
    AutoencoderSettings,
    BackboneSettings,
    DataSettings,
    DecoderSettings,
    DistilSettings,
    MatteSettings,
    OptimiserSettings,
    PlannerSettings,
    ReenactorSettings,
    TrainingSettings,
    VideoSettings,
)
from idvid.training.video_stage import VideoSources
from idvid.training.vocabulary import obtain_tokenizer


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_accelerator():
    """Every run is a process of its own; here they share one, and accelerate remembers the first."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def optimiser(**changes) -> OptimiserSettings:
    """Four steps without a wall limit, a checkpoint after every second one."""
    settings = OptimiserSettings(
        num_steps=4, batch_size=4, learning_rate=1e-3, log_every=1, poll_every=2, checkpoint_every=2
    )
    return replace(settings, warmup_steps=1, **changes)


@pytest.fixture(scope="session")
def tiny() -> TrainingSettings:
    return TrainingSettings(
        name="tiny",
        data=DataSettings(
            num_shards=2,
            num_validation_shards=1,
            num_face_shards=2,
            num_cutout_shards=2,
            num_series_shards=2,
            num_trace_shards=1,
            clips_per_shard=2,
            traces_per_shard=3,
            num_references=2,
            wait_for_shards=2,
            width_px=112,
            height_px=64,
            reference_px=64,
        ),
        autoencoder=AutoencoderSettings(optimiser=optimiser(), widths=(8, 8, 16), crop_px=48),
        backbone=BackboneSettings(optimiser=optimiser(), widths=(8, 8, 8, 8), max_identities=16),
        reenactor=ReenactorSettings(optimiser=optimiser(), size_px=32),
        matte=MatteSettings(optimiser=optimiser(), size_px=32),
        video=VideoSettings(
            optimiser=optimiser(batch_size=2),
            width=64,
            depth=1,
            text_depth=1,
            single_batch=3,
            single_share=(0.5, 0.5),
            identity_every=2,
            sheet_steps=2,
        ),
        distil=DistilSettings(
            optimiser=optimiser(batch_size=2), single_batch=2, single_share=0.5, sub_steps=2
        ),
        decoder=DecoderSettings(optimiser=optimiser(), crop_px=48),
        planner=PlannerSettings(optimiser=optimiser(), width=64, depth=1),
        threads=1,
    )


@pytest.fixture(scope="session")
def shards(tiny, tmp_path_factory):
    """A folder with all shards of clips and traces."""
    folder = tmp_path_factory.mktemp("training") / "shards"
    make_shards(FeederJob(folder=folder, data=tiny.data))
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="session")
def tokenizer(folder):
    return obtain_tokenizer(folder / "model" / "tokenizer")


@pytest.fixture(scope="session")
def sources(tiny, shards, folder, tokenizer):
    """Frozen parts trained for four steps, and the latents they make."""
    for stage in (
        AutoencoderStage(tiny, shards, (), "cpu"),
        BackboneStage(tiny, shards / "faces", (), "cpu"),
    ):
        stage.pool.poll()
        train(stage, RunSettings(folder=folder / stage.name, model_folder=folder / "model"))
    frozen = load_frozen(folder / "model")
    derivative = derivative_name(folder / "model")
    for split in ("validation", "train"):
        for name in record_names(shards, split):
            record = Record(record_path(shards, name))
            write_encoded(record, record_path(shards, name, derivative), frozen)
    return VideoSources(
        shards=shards, derivative=derivative, frozen=frozen, tokenizer=tokenizer, starts=()
    )
