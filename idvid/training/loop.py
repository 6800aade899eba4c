"""The training loop of every stage: optimisers, averaged weights, checkpoints, logs. Knows no data.

A run is a function of its settings and seed. With a wall limit the decay follows the clock instead
of the step, and the learning rate is then the only thing that a resumed run may see differently.
The model folder holds the averaged weights of the run's best look at held-out people (`Rule`).
"""

from __future__ import annotations

import copy
import json
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from torch.nn.attention import SDPBackend, sdpa_kernel

from idvid import runtime
from idvid.training.optimisers import build_optimisers, load_optimisers, optimiser_tensors
from idvid.training.pool import Draws
from idvid.training.state import load_state, pack, save_state, unpack

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import Tensor
    from torch.utils.tensorboard import SummaryWriter

    from idvid.training.settings import OptimiserSettings
    from idvid.training.stage import Stage

_EMA_WARMUP = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Where a run writes and how it starts; what it does is the stage's."""

    folder: Path  # checkpoints, logs and sheets of this stage
    model_folder: Path  # where the parts go
    seed: int = 0
    resume: bool = False
    device: str = "cpu"


def learning_rate(settings: OptimiserSettings, step: int, progress: float) -> float:
    """Warm-up by steps, constant, linear decay over the last share of the stage."""
    warm = min(1.0, (step + 1) / settings.warmup_steps)
    decay = min(1.0, max(0.02, (1 - progress) / settings.decay_share))
    return settings.learning_rate * warm * decay


def ema_decay(limit: float, step: int) -> float:
    """How much of the average stays at a step: grows to the limit."""
    return min(limit, (1 + step) / (_EMA_WARMUP + step))


def train(stage: Stage, run: RunSettings) -> dict[str, float]:
    """Train a stage to its end and export it; returns its last measurements."""
    with _Logs(run.folder) as logs:
        trainer = Trainer(stage, run)
        if run.resume:
            trainer.resume()
        while trainer.progress < 1:
            trainer.step(logs)
        return trainer.finish(logs)


class Trainer:
    """The state of one stage in training."""

    def __init__(self, stage: Stage, run: RunSettings) -> None:
        self._stage, self._run, self._settings = stage, run, stage.optimiser
        precision = "bf16" if runtime.is_fast_in_bf16(run.device) else "no"
        self._accelerator = Accelerator(mixed_precision=precision, cpu=run.device == "cpu")
        model = stage.model.to(run.device).train()
        self._average = copy.deepcopy(model).requires_grad_(False).eval()
        optimisers = build_optimisers(model, self._settings)
        self._model, *self._optimisers = self._accelerator.prepare(model, *optimisers)
        self._step, self._elapsed_s = 0, 0.0
        self._started = time.monotonic()
        self._last_sheet_s = 0.0
        self._best: float | None = None  # worth of the weights in the model folder

    @property
    def progress(self) -> float:
        """0..1, by steps or by the clock, whichever is further."""
        by_step = self._step / self._settings.num_steps
        if self._settings.minutes is None:
            return by_step
        return max(by_step, self._seconds() / (60 * self._settings.minutes))

    def step(self, logs: _Logs) -> None:
        """One step of the optimiser, and what is due after it."""
        settings, stage = self._settings, self._stage
        if self._step % settings.poll_every == 0:
            stage.pool.poll()
        rate = learning_rate(settings, self._step, self.progress)
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        draws = Draws.of_step(self._run.seed, self._step, self._run.device)
        with self._accelerator.autocast(), _attention(self._run.device):
            losses = stage.losses(self._model, draws, self.progress)
        self._accelerator.backward(losses["loss"])
        norm = self._accelerator.clip_grad_norm_(self._model.parameters(), settings.clip_norm)
        for optimiser in self._optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self._step += 1
        self._average_weights()
        logs.gather(losses)
        if self._step % settings.log_every == 0:
            logs.write(self._step, self._seconds(), lr=rate, norm=float(torch.as_tensor(norm)))
        self._after(logs)

    def finish(self, logs: _Logs) -> dict[str, float]:
        """Measure, export if this is the run's best, and save."""
        measured = self._validate(logs)
        self._save()
        return measured

    def resume(self) -> None:
        """Go on from the newest checkpoint, if there is one."""
        loaded = load_state(self._run.folder)
        if loaded is None:
            return
        tensors, notes = loaded
        self._model.load_state_dict(unpack(tensors, "model"))
        self._average.load_state_dict(unpack(tensors, "average"))
        load_optimisers(self._optimisers, unpack(tensors, "optimiser"))
        self._step, self._elapsed_s = notes["step"], notes["elapsed_s"]
        self._started = time.monotonic()
        self._last_sheet_s = self._elapsed_s
        self._best = notes.get("best")  # checkpoints before this rule have none
        self._stage.pool.restore(notes["shards"])

    def _after(self, logs: _Logs) -> None:
        if self._step % self._settings.checkpoint_every == 0:
            self._save()
        if self._seconds() - self._last_sheet_s >= 60 * self._settings.sheet_minutes:
            self._validate(logs)
            self._last_sheet_s = self._seconds()

    def _seconds(self) -> float:
        return self._elapsed_s + time.monotonic() - self._started

    @torch.no_grad()
    def _average_weights(self) -> None:
        decay = ema_decay(self._settings.ema_decay, self._step)
        averages, current = self._average.parameters(), self._model.parameters()
        torch._foreach_lerp_(list(averages), list(current), 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
        for average, current in zip(self._average.buffers(), self._model.buffers(), strict=True):
            average.copy_(current)

    def _validate(self, logs: _Logs) -> dict[str, float]:
        sheet = self._run.folder / "sheets" / f"{self._step:07d}.png"
        sheet.parent.mkdir(parents=True, exist_ok=True)
        with torch.no_grad(), self._accelerator.autocast(), _attention(self._run.device):
            measured = self._stage.validate(self._average, sheet)
        logs.measured(self._step, self._seconds(), measured)
        worth = self._stage.rule.worth(measured)
        if self._best is None or (worth is not None and worth >= self._best):
            self._best = worth
            self._stage.export(self._average, self._run.model_folder)
        return measured

    def _save(self) -> None:
        tensors = pack(
            model=self._model.state_dict(),
            average=self._average.state_dict(),
            optimiser=optimiser_tensors(self._optimisers),
        )
        notes = {
            "elapsed_s": self._seconds(),
            "shards": self._stage.pool.names,
            "seed": self._run.seed,
            "best": self._best,
        }
        save_state(self._run.folder, self._step, tensors, notes)


class _Logs:
    """Means of the losses since the last line, in a JSON-lines file and for TensorBoard."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sums: dict[str, list[Tensor]] = {}
        self._board: SummaryWriter | None = None

    def __enter__(self) -> _Logs:
        from torch.utils.tensorboard import SummaryWriter

        self._folder.mkdir(parents=True, exist_ok=True)
        self._board = SummaryWriter(str(self._folder / "tensorboard"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()

    def gather(self, losses: dict[str, Tensor]) -> None:
        """Remember a step's losses; they stay on their device until a line is written."""
        for name, value in losses.items():
            self._sums.setdefault(name, []).append(value.detach())

    def write(self, step: int, seconds: float, **values: float) -> None:
        """Write the means since the last line."""
        means = {name: float(torch.stack(v).float().mean()) for name, v in self._sums.items()}
        self._sums.clear()
        self._line({"step": step, "seconds": seconds} | means | values)

    def measured(self, step: int, seconds: float, values: dict[str, float]) -> None:
        """Write measurements on held-out people."""
        named = {f"validation/{name}": value for name, value in values.items()}
        self._line({"step": step, "seconds": seconds} | named)

    def _line(self, values: dict[str, float]) -> None:
        rounded = {n: v if isinstance(v, int) else _rounded(v) for n, v in values.items()}
        with (self._folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(rounded) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, int(values["step"]))


def _attention(device: str) -> AbstractContextManager[object]:
    """On the CPU the plain kernel trains faster than the fused one, whose biased backward is slow."""
    return sdpa_kernel(SDPBackend.MATH) if device == "cpu" else nullcontext()


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
