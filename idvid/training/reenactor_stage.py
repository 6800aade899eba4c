"""The stage of the reenactor: the same face from one picture to another, in another pose and mood."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import nn

from idvid.faces.align import arcface_chips
from idvid.models.face_crops import crop_grid, crop_landmarks, face_crops
from idvid.models.face_plan import on_features, pose_residual, region_distance
from idvid.models.face_reenactor import reenacted, wanted
from idvid.training.colours import recoloured
from idvid.training.objective import picture_loss
from idvid.training.pool import Draws, both_splits, tensors_of, to_signed
from idvid.training.sheets import to_pixels
from idvid.training.stage import Rule, frozen_backbone, start_part, write_parts

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from idvid.models.face_backbone import FaceBackbone
    from idvid.models.face_reenactor import FaceReenactor
    from idvid.training.pool import ShardPool
    from idvid.training.settings import OptimiserSettings, TrainingSettings

_MOST_PHOTOS = 3  # the best posed of so many is the source, much as with a user's photos
_SEED = 11  # of the held-out pairs
_HELD_OUT, _SHOWN = 96, 16
_ARRAYS = ("frames", "landmarks", "expression")


class Pairs(NamedTuple):
    """Faces as they are and as they are wanted."""

    source: Tensor  # (B, 3, S, S)
    target: Tensor  # (B, 3, S, S)
    told: Tensor  # (B, F)


class ReenactorStage:
    """The changed photo beside the picture that it should become: L1, its gradients, and identity."""

    name = "reenactor"
    rule = Rule(figure="left", is_low_good=True)

    def __init__(
        self, settings: TrainingSettings, shards: Path, starts: tuple[Path, ...], device: str
    ) -> None:
        self._settings = settings.reenactor
        self.optimiser: OptimiserSettings = self._settings.optimiser

        limit = settings.data.shards_in_memory
        self.pool, self._validation = both_splits(
            shards, lambda record: tensors_of(record, *_ARRAYS), limit, device
        )
        config: dict[str, object] = {"size_px": self._settings.size_px}
        part, _ = start_part("reenactor", config, starts)
        self.model: nn.Module = part.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._backbone = frozen_backbone(starts, device)
        self._weight = _weights(self._settings.size_px, self._settings.detail_weight).to(device)

    def losses(self, model: nn.Module, draws: Draws, progress: float) -> dict[str, Tensor]:  # noqa: ARG002 - Stage
        """Change a batch of faces into other pictures of the same people."""
        pairs = self._draw(self.pool, draws, self._settings.optimiser.batch_size)
        source, target = recoloured((pairs.source, pairs.target), draws)
        change = cast("FaceReenactor", model)(_last(source), pairs.told)
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
        pairs = self._draw(self._validation, Draws.of_step(_SEED, 0), _HELD_OUT)
        made = reenacted(pairs.source, cast("FaceReenactor", model)(pairs.source, pairs.told))
        error = ((made - pairs.target).abs() * self._weight).mean()
        before = ((pairs.source - pairs.target).abs() * self._weight).mean()
        rows = torch.stack([pairs.source, pairs.target, made.clamp(-1, 1)])[:, :_SHOWN]
        picture = [np.concatenate([to_pixels(face) for face in row], 1) for row in rows]
        Image.fromarray(np.concatenate(picture)).save(sheet)
        measured = {"left": float(error / before)}
        if self._backbone is not None:
            for name, faces in (("alike", made), ("photo_alike", pairs.source)):
                measured[name] = float(_cosines(self._backbone, faces, pairs.target).mean())
        return measured

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the reenactor."""
        write_parts(folder, reenactor=cast("FaceReenactor", model))

    def _draw(self, pool: ShardPool, draws: Draws, count: int) -> Pairs:
        """Faces and what they should become, each with the best posed of a few photos as source."""
        images, points, expression = [], [], []
        for shard, rows in pool.draw(draws.numpy, count):
            for row in rows:
                picks = _best_posed(shard["landmarks"][row], draws.numpy)
                images.append(shard["frames"][row, picks])
                points.append(shard["landmarks"][row, picks])
                expression.append(shard["expression"][row, picks[1]])
        landmarks = torch.stack(points)
        faces = face_crops(
            to_signed(torch.stack(images).flatten(0, 1)),
            landmarks.flatten(0, 1),
            self._settings.size_px,
        ).unflatten(0, (count, 2))
        told = wanted(landmarks[:, 0], landmarks[:, 1], torch.stack(expression))
        return Pairs(source=faces[:, 0], target=faces[:, 1], told=told)


def _cosines(backbone: FaceBackbone, made: Tensor, wanted_faces: Tensor) -> Tensor:
    """How alike faces (B, 3, S, S) are to those that they should be: (B,); gradients reach `made`."""
    landmarks = crop_landmarks(made.shape[-1], made).expand(len(made), -1, -1)
    with torch.autocast(made.device.type, enabled=False):  # it would move the crops by pixels
        chips = [_last(arcface_chips(faces.float(), landmarks)) for faces in (made, wanted_faces)]
    with torch.no_grad():
        targets = backbone(chips[1])
    return (backbone(chips[0]) * targets).sum(-1).float()


def _best_posed(landmarks_N52: Tensor, rng: np.random.Generator) -> list[int]:
    """One picture to start from and one to become, of N."""
    target, *photos = rng.permutation(len(landmarks_N52))[: 2 + rng.integers(_MOST_PHOTOS)].tolist()
    residual = pose_residual(landmarks_N52)
    far = (residual[photos] - residual[target]).square().sum((-2, -1))
    return [photos[int(far.argmin())], target]


def _weights(size_px: int, detail: float) -> Tensor:
    """What counts in the loss: (1, 1, S, S), most on eyes and mouths, little away from the face."""
    grid = crop_grid(size_px, torch.zeros(1))
    weight = 0.2 + (-region_distance(grid)).exp() + detail * on_features(grid)
    return (weight / weight.mean()).view(1, 1, size_px, size_px)


def _last(faces: Tensor) -> Tensor:
    return faces.contiguous(memory_format=torch.channels_last)
