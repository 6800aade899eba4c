"""Whole runs of the GPU benchmark: the stock VACE pipeline and ours on the same weights and noise."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import UniPCMultistepScheduler, WanVACEPipeline

from benchmarks.gpu_arms import measured
from benchmarks.gpu_models import build
from idvid import runtime
from idvid.conditioning.prompt import plain_prompt
from idvid.config import GenerationSettings
from idvid.faces.quality import ReferenceFace
from idvid.faces.types import Face
from idvid.pipeline.placement import apply_plan
from idvid.pipeline.planning import BarePipeline
from idvid.pipeline.vace import IdVidVacePipeline
from idvid.pipeline.vace_options import VaceOptions, speed_up
from idvid.pipeline.vace_prepare import NEGATIVE_PROMPT, portraits
from idvid.runtime import GIB, VAE
from idvid.types import Character, Scene, StepDone, WindowDone

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.gpu_models import Size

FPS = 16.0
_LANDMARKS = np.array([[110, 80], [95, 82], [50, 80], [65, 82], [80, 110]], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """One whole run, from the prompt to pixels."""

    model: str
    arm: str
    steps: int
    seconds: float
    seconds_per_step: float  # from the first step's end to the last's
    peak_gib: float | None
    planned_gib: float | None  # what the device plan expects at most
    difference: float | None  # mean of |pixel - stock's pixel|, of 255


def whole_runs(
    model: str, size: Size, device: torch.device, precision: torch.dtype
) -> tuple[Whole, ...]:
    """Run the stock pipeline and ours in turn, each once before it is counted."""
    machine = runtime.this_machine()
    parts = {
        name: build(part, device, torch.float32 if name == VAE else precision)
        for name, part in size.models[model].items()
    }
    plan = runtime.make_plan(BarePipeline(name=model, parts=parts).footprint(size.request), machine)
    shared: dict[str, Any] = parts | {"tokenizer": _tokenizer(), "scheduler": _scheduler()}
    ours, stock = IdVidVacePipeline(**shared), WanVACEPipeline(**shared)
    stock.set_progress_bar_config(disable=True)
    ours.options = _options(size)
    apply_plan(ours, plan, device)
    few = size.few_steps
    runs: dict[str, tuple[int, Callable[[list[float]], NDArray[np.uint8]]]] = {
        "stock": (size.whole_steps, lambda ends: _stock(stock, size, ends)),
        "ours": (size.whole_steps, lambda ends: _ours(ours, size, size.whole_steps, 5.0, ends)),
        "ours, few steps": (few, lambda ends: _ours(ours, size, few, 1.0, ends)),
    }
    rows, frames = _in_turn(model, runs, device, max(plan.peak_vram, default=0))
    speed_up(ours.transformer, _options(size, cache="taylorseer"))
    cached = {"ours, TaylorSeer": runs["ours"]}
    more, _ = _in_turn(model, cached, device, 0, frames)
    return (*rows, *more)


def _in_turn(
    model: str,
    runs: dict[str, tuple[int, Callable[[list[float]], NDArray[np.uint8]]]],
    device: torch.device,
    planned: int,
    stock: NDArray[np.uint8] | None = None,
) -> tuple[list[Whole], NDArray[np.uint8] | None]:
    rows: dict[str, Whole] = {}
    for _ in range(2):  # the first time kernels are chosen
        for name, (steps, run) in runs.items():
            ends: list[float] = []
            made: list[NDArray[np.uint8]] = []
            seconds, peak = measured(device, lambda r=run, e=ends, m=made: m.append(r(e)))
            stock = made[0] if name == "stock" else stock
            same = stock is not None and "few" not in name
            rows[name] = Whole(
                model=model,
                arm=name,
                steps=steps,
                seconds=seconds,
                seconds_per_step=(ends[-1] - ends[0]) / (len(ends) - 1),
                peak_gib=peak / GIB if peak else None,
                planned_gib=planned / GIB if planned else None,
                difference=_difference(made[0], stock) if same else None,
            )
    return list(rows.values()), stock


def _stock(pipeline: WanVACEPipeline, size: Size, ends: list[float]) -> NDArray[np.uint8]:
    scene = _scene(size)

    def ended(*args: Any) -> dict[str, Any]:  # noqa: ANN401 - diffusers' callback
        ends.append(_now())
        return args[-1]

    done: Any = pipeline(
        prompt=plain_prompt(scene.prompt, scene.characters),
        negative_prompt=NEGATIVE_PROMPT,
        reference_images=[portraits(_references())],
        height=size.request.height,
        width=size.request.width,
        num_frames=size.request.num_frames,
        num_inference_steps=size.whole_steps,
        guidance_scale=5.0,
        generator=torch.Generator().manual_seed(scene.seed),
        callback_on_step_end=ended,
    )
    return (done.frames[0] * 255).round().astype(np.uint8)


def _ours(
    pipeline: IdVidVacePipeline, size: Size, steps: int, guidance: float, ends: list[float]
) -> NDArray[np.uint8]:
    settings = GenerationSettings(num_steps=steps, guidance_scale=guidance)
    frames: list[NDArray[np.uint8]] = []
    for event in pipeline.stream(_scene(size), _references(), settings):
        if isinstance(event, StepDone):
            ends.append(_now())
        if isinstance(event, WindowDone):
            frames.append(event.frames)
    return np.concatenate(frames)


def _now() -> float:
    """The time when the GPU is done with what it was told so far."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def _difference(made: NDArray[np.uint8], stock: NDArray[np.uint8] | None) -> float | None:
    return None if stock is None else float(np.abs(made.astype(float) - stock).mean())


def _options(size: Size, cache: str = "none") -> VaceOptions:
    request = size.request
    return VaceOptions(
        width_px=request.width,
        height_px=request.height,
        window_frames=request.num_frames,
        kept_frames=5,
        fps=FPS,
        cache=cache,
    )


def _scene(size: Size) -> Scene:
    names = ("Ana", "Ben")
    cast = tuple(
        Character(name=name, photos=(own[0].image,))
        for name, own in zip(names, _references(), strict=True)
    )
    return Scene(
        prompt="@Ana and @Ben talk", characters=cast, seconds=size.request.num_frames / FPS, seed=0
    )


def _references() -> tuple[tuple[ReferenceFace, ...], ...]:
    """Two people with one photo each; what it shows costs nothing."""
    rng = np.random.default_rng(0)
    face = Face(box=np.array([40, 50, 120, 130], np.float32), landmarks=_LANDMARKS, score=1.0)
    return tuple(
        (
            ReferenceFace(
                photo_index=0,
                image=rng.integers(0, 255, (200, 160, 3), dtype=np.uint8),
                face=face,
                embedding=np.zeros(128, np.float32),
            ),
        )
        for _ in range(2)
    )


def _scheduler() -> UniPCMultistepScheduler:
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )


def _tokenizer() -> Any:  # noqa: ANN401 - transformers'
    """A tokenizer of T5's kind, made on the spot: prompts are padded to one length anyway."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import T5Tokenizer

    core = Tokenizer(models.Unigram())
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz.,"),
        show_progress=False,
    )
    core.train_from_iterator(
        ["a woman and a man talk in the park, from left to right"] * 4, trainer
    )
    pieces = json.loads(core.to_str())["model"]["vocab"]
    made = T5Tokenizer(vocab=[tuple(piece) for piece in pieces], extra_ids=0)
    made.model_max_length = 512
    return made
