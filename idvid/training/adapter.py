"""`python -m idvid train adapter`: identity attention for a Wan model.

accelerate runs it on one or several devices; the adapter alone is saved. Knows neither renderer
nor detector: clips are drawn from a `ClipSource`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator

from idvid import runtime
from idvid.conditioning.wan_tokens import NUM_PATCHES, PATCH_FEATURES
from idvid.hub import local_path
from idvid.models.identity_bank import MultiCharacterIdentityBank
from idvid.models.identity_encoder import IdentityEncoder
from idvid.models.wan_adapter import WanIdentityAdapter, load_wan_adapter
from idvid.models.wan_attach import attach_identity
from idvid.models.wan_identity import WanIdentityLayers
from idvid.pipeline.vace_conditions import LatentCoder
from idvid.pipeline.vace_load import read_vace
from idvid.training.adapter_objective import (
    AdapterObjective,
    Draw,
    noise_levels,
    scheduler_shift,
)

if TYPE_CHECKING:
    from pathlib import Path

    from idvid.models.face_backbone import FaceBackbone
    from idvid.training.adapter_data import AdapterClip, ClipSource


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSettings:
    """Sizes of the adapter, and how it is trained.

    One draw of noise says little about a face, and an optimiser that is led by single draws moves
    the gates back and forth about 0 (docs/log.md). So a step sees a clip in several: its latents and
    text are encoded once, but each draw takes time and activations of its own, which is why a real
    Wan begins with two.
    """

    id_dim: int = 768  # multiple of 64
    num_tokens: int = 16  # per character
    depth: int = 4  # of the encoder
    num_steps: int = 5000
    learning_rate: float = 1e-4
    # Of the gates alone, without weight decay: AdamW moves a number by about its rate at most, and
    # a gate has the whole way from 0 to go.
    gate_rate: float = 1e-3
    draws: int = 2  # of level and noise per step and clip; 1 or more
    # Moves levels towards noise, where it is decided who it will be (`noise_levels`), 1 not at all;
    # None: as far as the base model's own scheduler does.
    level_shift: float | None = None
    identity_weight: float = 0.1
    temporal_weight: float = 0.5  # of the identity loss's second term, lambda
    log_every: int = 10
    save_every: int = 500
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterRun:
    """Where a run reads and writes."""

    base: str  # a folder or a Hub name of Wan2.1 VACE
    clips: ClipSource
    folder: Path  # log.jsonl and adapter/
    resume: bool = False


def new_adapter(
    transformer: Any,  # noqa: ANN401 - Wan's transformer
    backbone: FaceBackbone,
    settings: AdapterSettings,
) -> WanIdentityAdapter:
    """An adapter for every block of the transformer that changes nothing yet."""
    heads, width = transformer.config.num_attention_heads, transformer.config.attention_head_dim
    return WanIdentityAdapter(
        identity_layers=WanIdentityLayers(
            dim=heads * width,
            id_dim=settings.id_dim,
            layer_ids=list(range(len(transformer.blocks))),
        ),
        identity_encoder=IdentityEncoder(
            face_vector=backbone.config["vector"],
            patch_features=PATCH_FEATURES,
            num_patches=NUM_PATCHES,
            width=settings.id_dim,
            num_tokens=settings.num_tokens,
            depth=settings.depth,
        ),
        identity_bank=MultiCharacterIdentityBank(width=settings.id_dim),
        backbone=backbone.eval().requires_grad_(False),
    )


def train_adapter(
    run: AdapterRun, settings: AdapterSettings, backbone: FaceBackbone
) -> AdapterTrainer:
    """Train to the end; the adapter lies in `adapter/` of the run's folder.

    Raises:
        ModelError: the base model is missing or damaged, or does not fit the adapter to go on with.
    """
    trainer = AdapterTrainer(run, settings, backbone)
    for step in range(settings.num_steps):
        trainer.step(step)
        if (step + 1) % settings.save_every == 0:
            trainer.save()
    trainer.save()
    return trainer


class AdapterTrainer:
    """The run's state: models, optimiser, draws."""

    def __init__(self, run: AdapterRun, settings: AdapterSettings, backbone: FaceBackbone) -> None:
        self.run, self.settings = run, settings
        self.accelerator = Accelerator()
        device = self.accelerator.device
        self.pipeline = read_vace(local_path(run.base), runtime.dtype(device))
        self.pipeline.text_encoder.to(device)
        self.pipeline.vae.to(device)
        transformer = self.pipeline.transformer  # accelerate moves it, or shares it out
        folder = run.folder / "adapter"
        goes_on = run.resume and folder.is_dir()
        self.adapter = (
            load_wan_adapter(folder) if goes_on else new_adapter(transformer, backbone, settings)
        )
        attach_identity(transformer, self.adapter.identity_layers, torch.float32)
        transformer.enable_gradient_checkpointing()
        transformer.train()
        self.adapter.backbone.to(device)
        self.coder = LatentCoder(self.pipeline.vae, device)
        weights = (settings.identity_weight, settings.temporal_weight)
        objective = AdapterObjective(transformer, self.adapter, self.coder, weights)
        self.objective, self.optimiser = self.accelerator.prepare(
            objective, _optimiser(self.adapter, settings)
        )
        own = settings.level_shift
        self.level_shift = scheduler_shift(self.pipeline.scheduler) if own is None else own
        # Each process draws clips and noise of its own.
        seed = [settings.seed, self.accelerator.process_index]
        self.rng = np.random.default_rng(seed)
        self._sums: dict[str, list[float]] = {}

    def step(self, step: int) -> None:
        """One clip per process, one step of the optimiser."""
        clip = self.run.clips.draw(self.rng)
        losses = self.losses(clip, self._draw(clip))
        self.accelerator.backward(losses["loss"])
        self.accelerator.clip_grad_norm_(self.objective.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        for name, value in losses.items():
            self._sums.setdefault(name, []).append(float(value.detach()))
        if (step + 1) % self.settings.log_every == 0:
            self._log(step + 1)

    def losses(self, clip: AdapterClip, draw: Draw) -> dict[str, torch.Tensor]:
        """The objective on one clip."""
        with torch.no_grad():
            latents = self.coder.encode(clip.video).float()
            text, _ = self.pipeline.encode_prompt(
                clip.caption, do_classifier_free_guidance=False, max_sequence_length=512
            )
        text = text.to(self.pipeline.transformer.dtype)
        return self.objective(_on(clip, self.accelerator.device), latents, text, draw)

    def save(self) -> None:
        """Write the adapter; the base model is not part of it."""
        adapter = self.adapter.gathered()
        if self.accelerator.is_main_process:
            adapter.save(self.run.folder / "adapter")
        self.accelerator.wait_for_everyone()

    def _draw(self, clip: AdapterClip) -> Draw:
        frames, height, width = clip.video.shape[2:]
        count = self.settings.draws
        shape = (count, 16, (frames - 1) // 4 + 1, height // 8, width // 8)
        noise = torch.from_numpy(self.rng.standard_normal(shape, dtype=np.float32))
        return Draw(
            levels=noise_levels(self.rng, count, self.level_shift),
            noise=noise.to(self.accelerator.device),
        )

    def _log(self, step: int) -> None:
        if self.accelerator.is_main_process:
            self.run.folder.mkdir(parents=True, exist_ok=True)
            means = {name: round(float(np.mean(v)), 6) for name, v in self._sums.items()}
            with (self.run.folder / "log.jsonl").open("a") as file:
                file.write(json.dumps({"step": step} | means) + "\n")
        self._sums.clear()


def _optimiser(adapter: WanIdentityAdapter, settings: AdapterSettings) -> torch.optim.Optimizer:
    """AdamW over what is trained, the gates in a group of their own."""
    parts = (adapter.identity_layers, adapter.identity_encoder, adapter.identity_bank)
    trained = [p for part in parts for p in part.requires_grad_(True).parameters()]
    gates = [layer.gate for layer in adapter.identity_layers.layers]
    are_gates = {id(gate) for gate in gates}
    rest = [p for p in trained if id(p) not in are_gates]
    return torch.optim.AdamW(
        [
            {"params": rest, "lr": settings.learning_rate, "weight_decay": 0.01},
            {"params": gates, "lr": settings.gate_rate, "weight_decay": 0.0},
        ]
    )


def _on(clip: AdapterClip, device: torch.device) -> AdapterClip:
    crops = clip.crops
    return replace(
        clip,
        crops=replace(
            crops,
            chips=crops.chips.to(device),
            heads=crops.heads.to(device),
            has_reference=crops.has_reference.to(device),
        ),
    )
