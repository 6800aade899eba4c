"""The stage of the reenactor: the same head from one picture to another, in another pose and mood."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import nn

from idvid import runtime
from idvid.conditioning.anchors import chosen_references
from idvid.faces.align import arcface_chips
from idvid.models.face_plan import (
    face_frame,
    on_features,
    region_distance,
)
from idvid.models.head_crops import (
    crop_grid,
    crop_landmarks,
    faded,
    from_crop_border,
    upright_heads,
)
from idvid.models.head_reenactor import premultiplied, reenacted, wanted
from idvid.training.colours import recoloured
from idvid.training.objective import picture_loss
from idvid.training.pool import Draws, both_splits, tensors_of, to_signed
from idvid.training.sheets import to_pixels
from idvid.training.stage import Rule, frozen_backbone, start_part, write_parts

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from idvid.models.face_backbone import FaceBackbone
    from idvid.models.head_reenactor import HeadReenactor
    from idvid.training.pool import ShardPool
    from idvid.training.settings import OptimiserSettings, TrainingSettings

_MOST_PHOTOS = 5  # one of up to so many is the source, as with a user's photos
_SEED = 11  # of the held-out pairs
_HELD_OUT, _SHOWN = 96, 16
_AWAY = 0.4  # what hair and shoulders weigh, where a face weighs 1 more
_ARRAYS = ("frames", "mattes", "landmarks", "expression")
_ON_HOST = frozenset({"landmarks", "expression"})  # what decides which pictures are read


class Pairs(NamedTuple):
    """Heads as they are and as they are wanted, with their mattes."""

    source: Tensor  # (B, 3, S, S) in -1..1
    target: Tensor  # (B, 3, S, S)
    source_matte: Tensor  # (B, 1, S, S) in 0..1
    target_matte: Tensor  # (B, 1, S, S)
    told: Tensor  # (B, F)

    def cut_out(self) -> tuple[Tensor, Tensor]:
        """Source and target (B, 4, S, S), premultiplied."""
        source = premultiplied(self.source, self.source_matte)
        return source, premultiplied(self.target, self.target_matte)


class ReenactorStage:
    """The changed cut-out beside the one that it should become: L1, its gradients, and identity."""

    name = "reenactor"
    rule = Rule(figure="left", is_low_good=True)

    def __init__(
        self, settings: TrainingSettings, shards: Path, starts: tuple[Path, ...], device: str
    ) -> None:
        self._settings = settings.reenactor
        self.optimiser: OptimiserSettings = self._settings.optimiser

        limit = settings.data.shards_in_memory
        self.pool, self._validation = both_splits(
            shards, lambda record: tensors_of(record, *_ARRAYS), limit, device, _ON_HOST
        )
        config: dict[str, object] = {"size_px": self._settings.size_px}
        part, _ = start_part("reenactor", config, starts)
        self.model: nn.Module = part.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._backbone = frozen_backbone(starts, device)
        self._weight = _weights(self._settings.size_px, self._settings.detail_weight).to(device)

    def losses(self, model: nn.Module, draws: Draws, progress: float) -> dict[str, Tensor]:  # noqa: ARG002 - Stage
        """Change a batch of heads into other pictures of the same people."""
        pairs = self._draw(self.pool, draws, self._settings.optimiser.batch_size)
        source, target = recoloured((pairs.source, pairs.target), draws)
        source, target = pairs._replace(source=source, target=target).cut_out()
        change = cast("HeadReenactor", model)(_last(source), pairs.told)
        made = reenacted(source, change)
        picture = picture_loss(made, target, self._weight.expand(len(made), -1, -1, -1))
        painted = change.mask.mean()
        loss = picture + self._settings.paint_weight * painted
        losses = {"picture": picture, "painted": painted}
        if self._backbone is not None and self._settings.identity_weight:
            rows = slice(self._settings.identity_rows)
            losses["identity"] = (1 - _cosines(self._backbone, made[rows], target[rows])).mean()
            loss = loss + self._settings.identity_weight * losses["identity"]
        return losses | {"loss": loss}

    @torch.no_grad()
    def validate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """How much of the difference is left on held-out people, and rows of source, wanted, made.

        Returns:
            `left`: weighted L1 to the wanted picture, as a share of the unchanged photo's; `alike`,
            `photo_alike`: cosines of both to the wanted face, as the conditioning backbone sees it.
        """
        self._validation.poll_all()
        if not self._validation.shards:
            return {}
        draws = Draws.of_step(_SEED, 0, self._weight.device)
        pairs = self._draw(self._validation, draws, _HELD_OUT)
        source, target = pairs.cut_out()
        made = reenacted(source, cast("HeadReenactor", model)(source, pairs.told))
        error = ((made - target).abs() * self._weight).mean()
        before = ((source - target).abs() * self._weight).mean()
        rows = torch.stack([source, target, made])[:, :_SHOWN, :3].clamp(-1, 1)
        picture = [np.concatenate([to_pixels(face) for face in row], 1) for row in rows]
        Image.fromarray(np.concatenate(picture)).save(sheet)
        measured = {"left": float(error / before)}
        if self._backbone is not None:
            for name, faces in (("alike", made), ("photo_alike", source)):
                measured[name] = float(_cosines(self._backbone, faces, target).mean())
        return measured

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the reenactor."""
        write_parts(folder, reenactor=cast("HeadReenactor", model))

    def _draw(self, pool: ShardPool, draws: Draws, count: int) -> Pairs:
        """Heads and what they should become."""
        layers, points, expression = [], [], []
        device = draws.torch.device
        for shard, rows in pool.pick(draws.numpy, count):
            landmarks = shard["landmarks"][rows]
            picks = _pairs(landmarks, draws.numpy)
            at = (runtime.sent(rows[:, None], device), runtime.sent(picks, device))
            mattes = shard["mattes"][at][:, :, None].float() / 255
            layers.append(torch.cat([to_signed(shard["frames"][at]), mattes], dim=2))
            points.append(landmarks[torch.arange(len(rows))[:, None], picks])
            expression.append(shard["expression"][rows, picks[:, 1]])
        landmarks, size = runtime.sent(torch.cat(points), device), self._settings.size_px
        told = runtime.sent(torch.cat(expression), device)
        width = face_frame(landmarks[:, 0])[1].norm(dim=-1)[:, None, None]
        error = torch.randn(landmarks[:, 0].shape, generator=draws.torch, device=landmarks.device)
        landmarks[:, 0] += self._settings.misplaced * width * error
        heads = upright_heads(torch.cat(layers).flatten(0, 1), landmarks.flatten(0, 1), size)
        source, target = heads.unflatten(0, (count, 2)).unbind(1)
        inside = faded(from_crop_border(size, heads)).view(size, size)
        return Pairs(
            source=source[:, :3],
            target=target[:, :3],
            source_matte=source[:, 3:] * inside,
            target_matte=target[:, 3:] * inside,
            told=wanted(landmarks[:, 0], landmarks[:, 1], told),
        )


def _cosines(backbone: FaceBackbone, made: Tensor, wanted_faces: Tensor) -> Tensor:
    """How alike heads (B, 4, S, S) are to those that they should be: (B,); gradients reach `made`."""
    landmarks = crop_landmarks(made.shape[-1], made).expand(len(made), -1, -1)
    colours = (made[:, :3].float(), wanted_faces[:, :3].float())
    with torch.autocast(made.device.type, enabled=False):  # it would move the crops by pixels
        chips = [_last(arcface_chips(faces, landmarks)) for faces in colours]
    with torch.no_grad():
        targets = backbone(chips[1])
    return (backbone(chips[0]) * targets).sum(-1).float()


def _pairs(landmarks: Tensor, rng: np.random.Generator) -> Tensor:
    """For each person's pictures (B, N, 5, 2) one to start from and one to become: (B, 2).

    The one to start from is the one of a few others that would be laid.
    """
    people, pictures = landmarks.shape[:2]
    order = torch.from_numpy(rng.permuted(np.tile(np.arange(pictures), (people, 1)), axis=1))
    target, photos = order[:, :1], order[:, 1 : 1 + _MOST_PHOTOS]
    given = torch.from_numpy(rng.integers(1, 1 + photos.shape[1], size=(people, 1)))
    photos = photos.gather(1, torch.arange(photos.shape[1]) % given)  # again, where they are fewer
    row = torch.arange(people)[:, None]
    laid = chosen_references(landmarks[row, photos], landmarks[row, target])
    return torch.cat([photos.gather(1, laid), target], dim=1)


def _weights(size_px: int, detail: float) -> Tensor:
    """What counts in the loss: (1, 1, S, S), most on eyes and mouths, less away from the face."""
    grid = crop_grid(size_px, torch.zeros(1))
    weight = _AWAY + (-region_distance(grid)).exp() + detail * on_features(grid)
    return (weight / weight.mean()).view(1, 1, size_px, size_px)


def _last(faces: Tensor) -> Tensor:
    return faces.contiguous(memory_format=torch.channels_last)
