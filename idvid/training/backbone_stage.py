"""The stage of the conditioning face backbone: margin softmax over synthetic identities."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from PIL import Image
from scipy.stats import rankdata
from torch import nn
from torch.nn import functional

from idvid.faces.align import arcface_chips
from idvid.models.face_backbone import FACE_SIZE_PX
from idvid.training.objective import margin_softmax
from idvid.training.pool import both_splits, to_signed
from idvid.training.sheets import to_pixels
from idvid.training.stage import Rule, start_part, write_parts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from idvid.models.face_backbone import FaceBackbone
    from idvid.training.pool import Draws
    from idvid.training.records import Record
    from idvid.training.settings import OptimiserSettings, TrainingSettings

FRAMES_PER_PERSON = 3  # clip frames per person, beside the portraits
_STARTING = 2  # pictures of a person from which their prototype starts
_SHOWN = 12
_SMALL_PX = 32  # width of a face in a small clip
_SMALLEST_PX = 28  # faces are shrunk to at least this side and enlarged again


class BackboneStage:
    """CosFace on chips of portraits and clip frames; verification on people never trained on."""

    name = "backbone"
    rule = Rule(figure="auc_32px")

    def __init__(
        self, settings: TrainingSettings, shards: Path, starts: tuple[Path, ...], device: str
    ) -> None:
        self._settings = settings.backbone
        self.optimiser: OptimiserSettings = self._settings.optimiser

        limit = settings.data.shards_in_memory
        self.pool, self._validation = both_splits(
            shards, lambda record: read_faces(record, device), limit, device
        )
        config: dict[str, object] = {
            "widths": self._settings.widths,
            "blocks": self._settings.blocks,
        }
        backbone, self._is_fresh = start_part("backbone", config, starts)
        self._vector = backbone.config["vector"]
        table = torch.randn(self._settings.max_identities, self._vector) * 0.05
        network = cast("FaceBackbone", backbone)
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - in place
        self.model: nn.Module = Classifier(network, table)
        if self._settings.compile and shutil.which("c++"):
            network.body.compile(dynamic=False)

    def losses(self, model: nn.Module, draws: Draws, progress: float) -> dict[str, Tensor]:  # noqa: ARG002 - Stage
        """Classify a batch of people, several pictures each."""
        settings, classifier = self._settings, cast("Classifier", model)
        if not self._is_fresh:
            self._start_prototypes(classifier)
        chips, labels = self._draw(draws)
        faces = augment(chips, draws)
        if faces.device.type == "cpu":  # compiled, the other order is many times slower there
            faces = faces.contiguous(memory_format=torch.channels_last)
        vectors = classifier.backbone(faces)
        known = classifier.prototypes[: self._known()]
        loss = margin_softmax(vectors, known, labels, settings.margin, settings.scale)
        similarity = vectors.detach().float() @ functional.normalize(known.float(), dim=-1).T
        right = (similarity.argmax(1) == labels).float().mean()
        return {"loss": loss, "accuracy": right}

    def validate(self, model: nn.Module, sheet: Path) -> dict[str, float]:
        """Area under the verification curve over all pairs of held-out faces."""
        self._validation.poll_all()
        if not self._validation.shards:
            return {}
        backbone = cast("Classifier", model).backbone.eval()
        chips = torch.cat([shard["chips"].flatten(0, 1) for shard in self._validation.shards])
        per_person = self._validation.shards[0]["chips"].shape[1]
        people = torch.arange(len(chips)) // per_person
        signed = to_signed(chips)
        aucs = {
            "auc": verification_auc(_embed(backbone, signed), people),
            "auc_32px": verification_auc(_embed(backbone, shrunk(signed, _SMALL_PX)), people),
        }
        rows = [
            np.concatenate(
                [
                    to_pixels(chip)
                    for chip in to_signed(chips[n * per_person : (n + 1) * per_person])
                ],
                1,
            )
            for n in range(min(_SHOWN, len(chips) // per_person))
        ]
        Image.fromarray(np.concatenate(rows)).save(sheet)
        return aucs | {"people": float(people[-1] + 1)}

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the backbone without its classifier."""
        write_parts(folder, backbone=cast("Classifier", model).backbone)

    @torch.no_grad()
    def _start_prototypes(self, classifier: Classifier) -> None:
        """Put the prototypes of new people where a trained backbone already sees them.

        Each person comes up once in hundreds of steps, too seldom to get there from anywhere.
        """
        known, started = self._known(), int(classifier.started)
        if known == started:
            return
        chips = torch.cat([shard["chips"][:, :_STARTING] for shard in self.pool.shards])
        new = chips[started:known]
        vectors = _embed(classifier.backbone.eval(), to_signed(new.flatten(0, 1)))
        means = functional.normalize(vectors.unflatten(0, new.shape[:2]).mean(1), dim=-1)
        classifier.prototypes[started:known] = means.to(classifier.prototypes.device)
        classifier.started.fill_(known)
        classifier.backbone.train()

    def _known(self) -> int:
        return min(len(self.pool), self._settings.max_identities)

    def _draw(self, draws: Draws) -> tuple[Tensor, Tensor]:
        """Chips (B, 112, 112, 3) uint8 and their people's rows (B,) of the classifier."""
        settings, rng = self._settings, draws.numpy
        people = settings.optimiser.batch_size // settings.images_per_identity
        starts = np.cumsum([0] + [len(shard["chips"]) for shard in self.pool.shards])
        known = rng.permutation(self._known())[:people]
        chips = []
        for label in known:
            shard = int(np.searchsorted(starts, label, side="right")) - 1
            own = self.pool.shards[shard]["chips"][int(label - starts[shard])]
            picks = rng.permutation(len(own))[: settings.images_per_identity]
            chips.append(own[torch.from_numpy(picks).to(own.device)])
        labels = torch.from_numpy(known.repeat(settings.images_per_identity))
        return torch.cat(chips), labels.to(chips[0].device)


class Classifier(nn.Module):
    """The backbone and one prototype per training person."""

    def __init__(self, backbone: FaceBackbone, table: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.prototypes = nn.Parameter(table)
        self.started = nn.Buffer(torch.zeros((), dtype=torch.long))  # prototypes put in place


@torch.no_grad()
def read_faces(record: Record, device: str) -> dict[str, Tensor]:
    """Chips (people, R + FRAMES_PER_PERSON, 112, 112, 3) uint8 of everybody in a shard."""
    people = []
    for index in range(len(record)):
        present = np.flatnonzero(np.asarray(record.row("is_person", index)))
        people += [_faces_of(record, index, int(character), device) for character in present]
    return {"chips": torch.stack(people)}


def augment(chips: Tensor, draws: Draws) -> Tensor:
    """Flip, shrink, brighten and tint chips (B, 112, 112, 3) uint8: (B, 3, 112, 112) in -1..1."""
    generator, count = draws.torch, len(chips)
    faces = to_signed(chips)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator, device=faces.device)

    faces = torch.where(uniform(1, 1, 1) < 0.5, faces.flip(-1), faces)
    side = int(draws.numpy.integers(_SMALLEST_PX, FACE_SIZE_PX))
    faces = torch.where(uniform(1, 1, 1) < 0.5, shrunk(faces, side), faces)
    contrast = 1 + 0.3 * (uniform(1, 1, 1) - 0.5)
    brightness = 0.3 * (uniform(1, 1, 1) - 0.5) + 0.1 * (uniform(3, 1, 1) - 0.5)
    return (faces * contrast + brightness).clamp(-1, 1)


def shrunk(faces: Tensor, side: int) -> Tensor:
    """Faces (B, 3, 112, 112) as they look when they are only `side` pixels wide."""
    small = functional.interpolate(faces, (side, side), mode="bilinear", antialias=True)
    return functional.interpolate(small, faces.shape[-2:], mode="bilinear", align_corners=False)


def verification_auc(vectors: Tensor, people: Tensor) -> float:
    """Chance that a pair of one person is more alike than a pair of two (Mann-Whitney).

    Args:
        vectors: (N, E), unit norm.
        people: (N,) who each one is.
    """
    first, second = torch.triu_indices(len(vectors), len(vectors), offset=1)
    # Sums of products, not a matrix product: mixed precision would round the cosines.
    similarity = (vectors[first] * vectors[second]).sum(-1).numpy()
    same = (people[first] == people[second]).numpy()
    positives, negatives = same.sum(), (~same).sum()
    ranks = rankdata(similarity)[same].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def _embed(backbone: FaceBackbone, faces: Tensor) -> Tensor:
    return torch.cat([backbone(part).float() for part in faces.split(64)]).cpu()


def _faces_of(record: Record, index: int, character: int, device: str) -> Tensor:
    portraits = _row(record, "references", index, character)
    marks = _row(record, "reference_landmarks", index, character)
    seen = np.flatnonzero(_row(record, "visible", index, character))
    # Somebody who is never seen shows their portraits instead.
    times = seen[np.linspace(0, len(seen) - 1, FRAMES_PER_PERSON).astype(int)] if len(seen) else []
    pictures = [(portraits, marks)]
    if len(times):
        frames = np.stack([_row(record, "frames", index, int(t)) for t in times])
        points = _row(record, "landmarks", index, character)
        pictures.append((frames, points[times]))
    else:
        pictures.append((portraits[:FRAMES_PER_PERSON], marks[:FRAMES_PER_PERSON]))
    chips = [_chips(images, points, device) for images, points in pictures]
    return torch.cat(chips)


def _chips(images: NDArray[np.generic], points: NDArray[np.generic], device: str) -> Tensor:
    signed = to_signed(torch.from_numpy(images).to(device))
    cut = arcface_chips(signed, torch.from_numpy(points).to(device))
    return ((cut.clamp(-1, 1) + 1) * 127.5).round().byte().movedim(1, -1)


def _row(record: Record, name: str, *index: int) -> NDArray[np.generic]:
    return np.array(record.row(name, *index))
