"""The stage of the face planner: faces of traced scenes, what they do too, from their captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn

from idvid import runtime
from idvid.conditioning.text import encode_prompt, slot_ids
from idvid.models.face_planner import to_landmarks, to_state, window_noise
from idvid.models.prompt_encoder import PAD_ID
from idvid.pipeline.denoise import denoise
from idvid.training.objective import (
    add_noise,
    draw_flags,
    draw_slots,
    frame_levels,
    rename_slots,
)
from idvid.training.pool import Draws, both_splits, draw_people, padded_to, tensors_of
from idvid.training.seeding import MAX_PEOPLE
from idvid.training.stage import Rule, start_part, write_parts
from idvid.training.vocabulary import caption_ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

    from idvid.models.face_planner import FacePlanner
    from idvid.training.pool import ShardPool
    from idvid.training.records import Record
    from idvid.training.settings import OptimiserSettings, TrainingSettings

MIXTURE = (0.4, 0.4, 0.2)  # of noise levels: one, clean prefix, independent
_SHUFFLE_SHARE = 0.2
_MIN_NOISE = 0.1
_MOTION_WEIGHT = 4.0
_STILL = 0.05  # of a state's unit spread: changes below it count as none
_MEASURED, _STEPS, _SEED = 64, 12, 7
_SHEET_SCALE = 128  # px per frame height


@dataclass(frozen=True, slots=True)
class RowsOf:
    """The rows of a shard that show so many people."""

    people: int

    def __call__(self, shard: dict[str, Tensor]) -> NDArray[np.intp]:
        """Indices of the rows."""
        return np.flatnonzero(shard["is_person"].sum(1).cpu().numpy() == self.people)


class PlannerStage:
    """Flow matching on the planner's states, with a prompt encoder of its own."""

    name = "planner"
    rule = Rule(figure="loss", is_low_good=True)

    def __init__(
        self,
        settings: TrainingSettings,
        shards: Path,
        tokenizer: PreTrainedTokenizerFast,
        starts: tuple[Path, ...],
        device: str,
    ) -> None:
        self._settings, self._tokenizer = settings.planner, tokenizer
        self.optimiser: OptimiserSettings = self._settings.optimiser
        self._slot_ids = slot_ids(tokenizer).to(device)

        limit = settings.data.shards_in_memory
        self.pool, self._validation = both_splits(
            shards / "traces", lambda record: read_traces(record, tokenizer), limit, device
        )
        width = self._settings.width
        configs: dict[str, dict[str, object]] = {
            "planner": {"width": width, "depth": self._settings.depth, "text_width": width},
            "planner_prompt_encoder": {"vocabulary_size": len(tokenizer), "width": width},
        }
        parts = {name: start_part(name, config, starts)[0] for name, config in configs.items()}
        self.model: nn.Module = nn.ModuleDict(parts)

    def losses(self, model: nn.Module, draws: Draws, progress: float) -> dict[str, Tensor]:  # noqa: ARG002 - Stage
        """Velocity loss of a batch of traces."""
        settings = self._settings
        # Batches show one number of people, so that none is mostly padding.
        people = draw_people(self.pool, draws.numpy, settings.people_shares, RowsOf)
        rows = self._draw(self.pool, draws, settings.optimiser.batch_size, RowsOf(people))
        rows |= self._named(draw_slots(rows["is_person"], _SHUFFLE_SHARE, draws.torch))
        ids = rename_slots(rows["ids"], rows["slots"], self._slot_ids)
        silent = draw_flags(len(ids), settings.drop_text, draws.torch)
        rows["ids"] = ids.masked_fill(silent[:, None], PAD_ID)
        return {"loss": planner_loss(model, rows, draws.torch)}

    def validate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """Held-out loss, how often left and right are kept, and a drawing of plans."""
        self._validation.poll_all()
        if not self._validation.shards:
            return {}
        draws = Draws.of_step(_SEED, 0, self._slot_ids.device)
        rows = self._draw(self._validation, draws, _MEASURED)
        rows |= self._named(draw_slots(rows["is_person"], 0.0, draws.torch))
        loss = planner_loss(model, rows, draws.torch)
        truth = rows["landmarks"]
        shape = to_state(truth, rows["expression"]).shape
        noise = window_noise(shape, draws.torch, truth.device)  # pyright: ignore[reportArgumentType]
        *_, states = denoise(noise, noise[:, :, :0], predictor(model, rows), _STEPS, frame_dim=2)
        made, is_person = to_landmarks(states), rows["is_person"]
        draw_plans(sheet, made, truth, is_person)
        pair = is_person.sum(1) == 2
        order = [_is_left(points)[pair] for points in (made, truth)]
        agreed = (order[0] == order[1]).float().mean()
        both = states[is_person], to_state(truth, rows["expression"])[is_person]
        return {"loss": float(loss), "order": float(agreed)} | obedience(*both)

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the planner and its prompt encoder."""
        self._tokenizer.save_pretrained(folder / "tokenizer")
        names = ("planner", "planner_prompt_encoder")
        write_parts(folder, **{name: model.get_submodule(name) for name in names})  # pyright: ignore[reportArgumentType]

    def _named(self, slots: Tensor) -> dict[str, Tensor]:
        return {"slots": slots, "names": self._slot_ids[slots]}

    def _draw(
        self, pool: ShardPool, draws: Draws, count: int, rule: RowsOf | None = None
    ) -> dict[str, Tensor]:
        """Rows of a batch: a window of each trace, one phrasing."""
        frames, rng, parts = self._settings.num_frames, draws.numpy, []
        for shard, picked in pool.draw(rng, count, rule):
            total, size = shard["landmarks"].shape[2], len(picked)
            stride = rng.integers(1, total // frames + 1, size=(size, 1))
            first = (rng.random((size, 1)) * (total - (frames - 1) * stride)).astype(int)
            times = runtime.sent(first + stride * np.arange(frames), picked.device)
            phrasing = runtime.sent(rng.integers(shard["ids"].shape[1], size=size), picked.device)
            characters = rule.people if rule else shard["landmarks"].shape[1]
            character = torch.arange(characters, device=picked.device)
            index = (picked[:, None, None], character[None, :, None], times[:, None])
            seconds = shard["time_s"][picked[:, None], times]
            parts.append(
                {
                    "landmarks": shard["landmarks"][index],
                    "expression": shard["expression"][index],
                    "is_person": shard["is_person"][picked, :characters],
                    "ids": shard["ids"][picked, phrasing],
                    "time_s": seconds - seconds[:, :1],
                }
            )
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def read_traces(record: Record, tokenizer: PreTrainedTokenizerFast) -> dict[str, Tensor]:
    """The tensors of one shard of traces; captions as ids."""
    raw = tensors_of(record, "landmarks", "expression", "is_person")
    tensors = {name: padded_to(values, 1, MAX_PEOPLE) for name, values in raw.items()}
    seconds = torch.arange(tensors["landmarks"].shape[2]) / float(record.notes["fps"])
    tensors["time_s"] = seconds.expand(len(tensors["landmarks"]), -1)
    tensors["ids"] = caption_ids(record, tokenizer)
    return tensors


def predictor(model: nn.Module, rows: dict[str, Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """A function (noisy states, level (B, T)) -> clean states, under the rows' conditions."""
    planner = cast("FacePlanner", model.get_submodule("planner"))
    ids = rows["ids"][:, : max(1, int((rows["ids"] != PAD_ID).sum(1).max()))]
    encoder = model.get_submodule("planner_prompt_encoder")
    prompt = encode_prompt(encoder, ids, rows["names"])

    def predict(states: Tensor, level: Tensor) -> Tensor:
        known = (rows["time_s"], rows["slots"], rows["is_person"], prompt)
        return planner(states, level, *known).float()

    return predict


def planner_loss(model: nn.Module, rows: dict[str, Tensor], generator: torch.Generator) -> Tensor:
    """Velocity loss over the characters that are there and the frames that are not clean."""
    clean = to_state(rows["landmarks"], rows["expression"])  # (B, C, T, S)
    clean = torch.where(rows["is_person"][..., None, None], clean, torch.zeros_like(clean))
    count, _, frames, _ = clean.shape
    level = frame_levels(count, frames, MIXTURE, generator)
    noise = window_noise(clean.shape, generator, clean.device)  # pyright: ignore[reportArgumentType]
    spread = level[:, None].expand(clean.shape[:3])
    noisy = add_noise(clean, noise, spread)
    error = (predictor(model, rows)(noisy, level) - clean).float()
    error = error / (1 - spread).clamp(min=_MIN_NOISE)[..., None]
    counts = (rows["is_person"][..., None] & (spread < 1)).float()  # (B, C, T)
    return (_stressed(error, counts[..., None]) * counts).sum() / counts.sum().clamp(min=1)


def _stressed(error: Tensor, counts: Tensor) -> Tensor:
    """Squared errors (B, C, T), those of the motion weighing more than those of where it happens.

    Faces differ far more in their places than by what they do, so that plans learnt to stand still;
    another weight moves no optimum of a squared error.
    """
    held = (error * counts).sum(2, keepdim=True) / counts.sum(2, keepdim=True).clamp(min=1)
    return (held.square() + _MOTION_WEIGHT * (error - held).square()).mean(-1)


def obedience(made: Tensor, truth: Tensor) -> dict[str, float]:
    """How plans (N, T, STATE) go with the truth that their captions tell of.

    Correlations over the N characters, averaged over the numbers of a state: "held" of their means
    over time, "moves" of how much they change (log of the deviation), 0 where captions are ignored.
    """
    means = made.mean(1), truth.mean(1)
    spreads = ((part.std(1) + _STILL).log() for part in (made, truth))
    return {"held": _correlation(*means), "moves": _correlation(*spreads)}


def _correlation(one: Tensor, other: Tensor) -> float:
    """Mean over columns of the correlation of (N, F) and (N, F)."""
    sides = [part - part.mean(0) for part in (one, other)]
    sides = [part / part.norm(dim=0).clamp(min=1e-6) for part in sides]
    return float((sides[0] * sides[1]).sum(0).mean())


def draw_plans(path: Path, made: Tensor, truth: Tensor, is_person: Tensor) -> None:
    """Planned landmarks above true ones, the path of every face in its character's colour."""
    colours, columns = ("#e05050", "#40a040", "#4070e0", "#b060c0"), 4
    width = round(_SHEET_SCALE * 1.75)
    picture = Image.new("RGB", (width * columns, 4 * _SHEET_SCALE), "white")
    pen = ImageDraw.Draw(picture)
    for index in range(2 * columns):
        for part, points in enumerate((made, truth)):
            corner = (index % columns * width, (index // columns * 2 + part) * _SHEET_SCALE)
            for character in torch.nonzero(is_person[index]).flatten().tolist():
                places = (points[index, character].flatten(0, 1) * _SHEET_SCALE).tolist()
                pen.point([(corner[0] + x, corner[1] + y) for x, y in places], colours[character])
            pen.rectangle((*corner, corner[0] + width, corner[1] + _SHEET_SCALE), outline="grey")
    picture.save(path)


def _is_left(landmarks: Tensor) -> Tensor:
    """Whether character 1 is on average to the left of character 2: (B,)."""
    across = landmarks[..., 0].mean((-1, -2))
    return across[:, 0] < across[:, 1]
