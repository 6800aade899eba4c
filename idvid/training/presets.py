"""The two presets: `CPU` for two cores and several hours, `H200` for one GPU of that class.

The GPU's minutes are few and its host has 16 cores: people are rendered while it trains.
"""

from __future__ import annotations

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

CPU = TrainingSettings(
    name="cpu",
    data=DataSettings(num_shards=400, workers=1),
    autoencoder=AutoencoderSettings(
        optimiser=OptimiserSettings(num_steps=20_000, batch_size=16, learning_rate=1.5e-3)
    ),
    backbone=BackboneSettings(
        optimiser=OptimiserSettings(num_steps=12_000, batch_size=64, learning_rate=1e-3),
        compile=True,
    ),
    reenactor=ReenactorSettings(
        optimiser=OptimiserSettings(
            num_steps=8_000, batch_size=32, learning_rate=1e-3, warmup_steps=100, decay_share=0.75
        )
    ),
    matte=MatteSettings(
        optimiser=OptimiserSettings(
            num_steps=4_000, batch_size=32, learning_rate=2e-3, warmup_steps=100, decay_share=0.75
        )
    ),
    video=VideoSettings(
        optimiser=OptimiserSettings(
            num_steps=20_000,
            batch_size=4,
            learning_rate=1e-3,
            decay_share=0.7,
            muon=True,
            checkpoint_every=250,
        ),
        width=192,
        depth=7,
        single_batch=24,
        long_share=0.35,
        compile=True,
    ),
    distil=DistilSettings(
        optimiser=OptimiserSettings(
            num_steps=2_000,
            batch_size=1,
            learning_rate=3e-4,
            minutes=25.0,
            warmup_steps=20,
            decay_share=0.5,
            muon=True,
            ema_decay=0.99,
            log_every=20,
            checkpoint_every=100,
            sheet_minutes=10.0,
        )
    ),
    decoder=DecoderSettings(
        optimiser=OptimiserSettings(
            num_steps=5_000,
            batch_size=16,
            learning_rate=2e-4,
            warmup_steps=50,
            decay_share=0.5,
            betas=(0.5, 0.95),
            ema_decay=0.998,
            sheet_minutes=8.0,
        )
    ),
    planner=PlannerSettings(
        optimiser=OptimiserSettings(num_steps=6_000, batch_size=64, learning_rate=1e-3, muon=True)
    ),
)

H200 = TrainingSettings(
    name="h200",
    data=DataSettings(
        num_shards=4_000,
        num_face_shards=1_000,
        num_trace_shards=100,
        num_references=8,
        workers=12,
        encode_device="cuda",
        encoders=3,
        wait_for_shards=14,
        shards_in_memory=4_000,
        pictures_in_memory=1_000,
    ),
    autoencoder=AutoencoderSettings(
        optimiser=OptimiserSettings(
            num_steps=30_000, batch_size=128, learning_rate=1.5e-3, minutes=3.0, sheet_minutes=1.5
        )
    ),
    backbone=BackboneSettings(
        optimiser=OptimiserSettings(
            num_steps=10_000, batch_size=512, learning_rate=2e-3, minutes=1.5, sheet_minutes=1.0
        ),
        max_identities=16_384,
    ),
    reenactor=ReenactorSettings(
        optimiser=OptimiserSettings(
            num_steps=20_000,
            batch_size=512,
            learning_rate=2e-3,
            minutes=1.5,
            warmup_steps=100,
            decay_share=0.75,
            ema_decay=0.998,
            poll_every=20,
            sheet_minutes=0.5,
        ),
        identity_rows=96,
    ),
    matte=MatteSettings(
        optimiser=OptimiserSettings(
            num_steps=10_000, batch_size=512, learning_rate=3e-3, minutes=1.0, sheet_minutes=0.5
        )
    ),
    video=VideoSettings(
        optimiser=OptimiserSettings(
            num_steps=60_000,
            batch_size=256,
            learning_rate=1e-3,
            minutes=14.5,
            warmup_steps=100,
            decay_share=0.75,
            muon=True,
            ema_decay=0.998,
            poll_every=25,
            checkpoint_every=2_000,
            sheet_minutes=2.0,
        ),
        width=192,
        depth=7,
        single_batch=2_048,
        single_share=(0.6, 0.25),
        detail_weight=12.0,
        identity_rows=32,
        compile=True,
    ),
    distil=DistilSettings(
        optimiser=OptimiserSettings(
            num_steps=10_000,
            batch_size=48,
            learning_rate=4e-4,
            minutes=1.5,
            warmup_steps=20,
            decay_share=0.75,
            muon=True,
            ema_decay=0.98,
            log_every=10,
            sheet_minutes=1.0,
        ),
        detail_weight=12.0,
        single_batch=256,
    ),
    decoder=DecoderSettings(
        optimiser=OptimiserSettings(
            num_steps=10_000,
            batch_size=128,
            learning_rate=4e-4,
            minutes=1.0,
            warmup_steps=50,
            decay_share=0.5,
            betas=(0.5, 0.95),
            ema_decay=0.998,
            sheet_minutes=0.5,
        )
    ),
    planner=PlannerSettings(
        optimiser=OptimiserSettings(
            num_steps=10_000,
            batch_size=512,
            learning_rate=1e-3,
            minutes=1.5,
            warmup_steps=100,
            decay_share=0.75,
            muon=True,
            ema_decay=0.998,
            sheet_minutes=0.5,
        )
    ),
    threads=4,
)

PRESETS = {preset.name: preset for preset in (CPU, H200)}
