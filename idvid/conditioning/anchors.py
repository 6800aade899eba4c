"""Anchors: the reference photos laid where the face plan says each face will be.

Every pixel looks up a photo of the nearest character, mostly the same one, through the similarity
between the two sets of landmarks (first-order warping, Siarohin et al. 2019, with a similarity for the
motion field). With a reenactor the head that is cut out of the photo is turned and moved on the way,
so that what holds somebody's likeness holds neither their pose nor their mouth. The video model adds
light, body and place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from idvid import runtime
from idvid.models.face_plan import face_frame, in_picture, pose_residual, region_distance, to_face
from idvid.models.head_crops import on_crop, sampled, upright_heads
from idvid.models.head_reenactor import premultiplied, wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from idvid.conditioning.references import ReferencePictures
    from idvid.models.autoencoder import FrameAutoencoder
    from idvid.models.head_reenactor import HeadReenactor

# Of the way to the planned pose: a head that is turned shows less of whose it is, to the judge as to the
# eye (docs/log.md).
_TURNED = 0.5
_LOUD = 1.2  # times the planned expression, of which heads show less than they are told
# How much larger the region is in which a cut-out is laid, as squared distances: all of the hair and what
# a frame shows of the shoulders.
_CUT_OUT = 2.0
_FAVOUR = 0.01  # of the favourite photo: squared face units, summed over the landmarks


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFaces:
    """Where faces are to be and what they do, over T frames."""

    landmarks: Tensor  # (C, T, 5, 2) px
    expression: Tensor  # (C, T, E)
    is_visible: Tensor  # (C, T) bool

    def of(self, character: int, frames: Tensor) -> PlannedFaces:
        """One character in some of the frames: without the first axis."""
        return replace(
            self,
            landmarks=self.landmarks[character, frames],
            expression=self.expression[character, frames],
            is_visible=self.is_visible[character, frames],
        )


class _Photo(NamedTuple):
    image: Tensor  # (3, h, w)
    landmarks: Tensor  # (5, 2) px
    matte: Tensor | None  # (1, S, S)


@torch.no_grad()
def anchor_frames(
    characters: Sequence[ReferencePictures | None],
    plan: PlannedFaces,
    size: tuple[int, int],
    reenactor: HeadReenactor | None = None,
) -> tuple[Tensor, Tensor]:
    """Lay every character's favourite reference, or a far better posed one, onto the face plan.

    Args:
        characters: C characters; None for one without references.
        plan: of the same characters.
        size: height and width of the frames in px.
        reenactor: poses and moves heads that are cut out; without one they stay as they are.

    Returns:
        frames (T, 3, H, W) in -1..1, grey where nothing is known, and coverage (T, 1, H, W) 0..1.
    """
    height, width = size
    pixels = _pixels(height, width, plan.landmarks.device)
    total = torch.zeros(plan.landmarks.shape[1], 4, height, width, device=pixels.device)
    for index, pictures in enumerate(characters):
        times = torch.nonzero(plan.is_visible[index]).flatten()
        if pictures is None or not len(times):
            continue
        faces = plan.of(index, times)
        picks = chosen_references(pictures.landmarks, faces.landmarks)
        change = _change(reenactor, pictures, picks, faces)
        for reference in sorted(set(picks.tolist())):
            chosen = torch.nonzero(picks == reference).flatten()
            matte = None if pictures.mattes is None else pictures.mattes[reference]
            photo = _Photo(pictures.images[reference], pictures.landmarks[reference], matte)
            maps = None if change is None else change[chosen]
            laid = _lay(photo, faces.landmarks[chosen], maps, pixels)
            total[times[chosen]] += laid.view(-1, 4, height, width)
    weight = total[:, 3:]
    coverage = weight.clamp(max=1)
    return total[:, :3] / weight.clamp(min=1e-4) * coverage, coverage


def chosen_references(references: Tensor, plan: Tensor) -> Tensor:
    """Which of the references (..., R, 5, 2) is laid for each face of a plan (..., n, 5, 2): (..., n).

    The one that looks straightest ahead, but where another is posed much more like the plan: photos
    differ in light and hair, and a clip should not jump between them.
    """
    posed, planned = pose_residual(references), pose_residual(plan)
    apart = posed[..., :, None, :, :] - planned[..., None, :, :, :]
    difference = apart.square().sum((-2, -1))  # (..., R, n)
    straightest = posed.square().sum((-2, -1)).argmin(-1, keepdim=True)[..., None]
    favour = torch.zeros_like(difference[..., :1]).scatter(-2, straightest, _FAVOUR)
    return (difference - favour).argmin(-2)


@torch.no_grad()
def encode_anchors(frames: Tensor, coverage: Tensor, autoencoder: FrameAutoencoder) -> Tensor:
    """Anchors (T, latents + 1, h, w): latents of the laid references, and their coverage."""
    latents = torch.cat([autoencoder.encode(part) for part in frames.split(8)])
    return torch.cat([latents, functional.avg_pool2d(coverage, 8)], dim=1)


@torch.no_grad()
def blank_latents(autoencoder: FrameAutoencoder, size: tuple[int, int]) -> Tensor:
    """Latents (C, h, w) of the grey that anchors fade to, for frames of `size` (H, W) px."""
    return autoencoder.encode(torch.zeros(1, 3, *size, device=autoencoder.device))[0].float()


def _change(
    reenactor: HeadReenactor | None, pictures: ReferencePictures, picks: Tensor, faces: PlannedFaces
) -> Tensor | None:
    """What becomes of the photos' heads in the n frames of one character: maps (n, 7, S, S).

    Flow, mask and paint, of the photo `picks` (n,) in each frame; None where nothing changes.
    """
    if reenactor is None or pictures.mattes is None:
        return None
    size, chosen = reenactor.config["size_px"], picks.tolist()
    mattes = functional.interpolate(pictures.mattes, (size, size), mode="bilinear")
    heads = {
        index: premultiplied(
            upright_heads(pictures.images[index][None], pictures.landmarks[index][None], size),
            mattes[index][None],
        )
        for index in set(chosen)
    }
    told = wanted(pictures.landmarks[picks], faces.landmarks, _LOUD * faces.expression, _TURNED)
    changes = reenactor(torch.cat([heads[index] for index in chosen]), told)
    return torch.cat(changes, dim=1)


def _lay(photo: _Photo, landmarks: Tensor, change: Tensor | None, pixels: Tensor) -> Tensor:
    """A photo warped to `landmarks` (n, 5, 2): premultiplied (n, 4, P) of the P pixels.

    All frames at once: on a GPU each would be some hundred tiny kernels.
    """
    face_uv = to_face(pixels, *face_frame(landmarks))  # (n, P, 2)
    looked_up, maps = face_uv, None
    if change is not None:
        maps = _sampled(change, face_uv)
        looked_up = face_uv + maps[:, :2].transpose(1, 2)
    source = in_picture(looked_up, *face_frame(photo.landmarks))
    colours = sampled(photo.image.expand(len(landmarks), -1, -1, -1), source)
    laid = premultiplied(colours, _share(photo, source, looked_up)[:, None])
    if maps is not None:
        laid = laid + maps[:, 2:3] * (maps[:, 3:] - laid)
    reach = 1.0 if photo.matte is None else _CUT_OUT
    return laid * (-0.5 * region_distance(face_uv) / reach).exp()[:, None]


def _share(photo: _Photo, source: Tensor, looked_up: Tensor) -> Tensor:
    """How much of the places (n, P, 2), px and face widths, shows the person: (n, P)."""
    if photo.matte is not None:
        return _sampled(photo.matte.expand(len(looked_up), -1, -1, -1), looked_up)[:, 0]
    size = (photo.image.shape[2], photo.image.shape[1])
    extent = runtime.sent(size, source.device, source.dtype)
    return ((source > -0.5) & (source < extent - 0.5)).all(-1).to(source.dtype)


def _sampled(maps: Tensor, face_uv: Tensor) -> Tensor:
    """Maps (n, C, S, S) of heads at places (n, P, 2) in face coordinates: (n, C, P); 0 beyond."""
    grid = on_crop(face_uv)[:, None]
    return functional.grid_sample(maps, grid, align_corners=False)[:, :, 0]


def _pixels(height: int, width: int, device: torch.device) -> Tensor:
    rows = torch.arange(height, device=device, dtype=torch.float32)
    columns = torch.arange(width, device=device, dtype=torch.float32)
    return torch.stack([columns.repeat(height), rows.repeat_interleave(width)], dim=-1)
