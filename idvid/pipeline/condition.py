"""What the video model reads of a window beside the latents: put together, cut down, corrected."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from idvid.conditioning.anchors import PlannedFaces, anchor_frames, encode_anchors
from idvid.models.conditions import Conditions, Identity
from idvid.models.face_planner import to_expression
from idvid.pipeline.backend import HEIGHT_PX, WIDTH_PX
from idvid.pipeline.plan import plan_landmarks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from idvid.models.checkpoint import BundledModel
    from idvid.pipeline.prepare import Request


def window_conditions(
    model: BundledModel,
    request: Request,
    time_s: Tensor,
    states: Tensor,
    known: Sequence[Tensor] = (),
) -> Conditions:
    """Everything the transformer reads beside the latents, for the frames in view and new.

    Args:
        model: the bundled model.
        request: the clip in the making.
        time_s: (1, F + T).
        states: of the planner, (C, F + T, STATE).
        known: anchors (latents + 1, h, w) of the first frames, if they were laid before.
    """
    prepared = request.prepared
    landmarks = plan_landmarks(states, HEIGHT_PX)
    expression = to_expression(states)
    is_visible = torch.ones(landmarks.shape[:2], dtype=torch.bool)
    identity = None
    if prepared.memory is not None and prepared.owner is not None:
        new = _anchors(model, request, landmarks[:, len(known) :], expression[:, len(known) :])
        identity = Identity(
            memory=prepared.memory,
            owner=prepared.owner,
            anchors=torch.cat([*(a[None, None] for a in known), new], dim=1),
            is_given=torch.ones(1, dtype=torch.bool),
            strength=request.settings.identity_strength,
            has_regions=request.settings.parts.regions,
        )
    return Conditions(
        time_s=time_s,
        prompt=prepared.prompt,
        landmarks=_from_px(landmarks),
        expression=expression[None],
        is_visible=is_visible[None],
        slots=prepared.slots,
        identity=identity,
    )


def at_frames(conditions: Conditions, frames: Sequence[int]) -> Conditions:
    """The conditions of some of the frames, in the order of `frames`."""
    index, identity = list(frames), conditions.identity
    if identity is not None:
        identity = replace(identity, anchors=identity.anchors[:, index])
    return replace(
        conditions,
        time_s=conditions.time_s[:, index],
        landmarks=conditions.landmarks[:, :, index],
        expression=conditions.expression[:, :, index],
        is_visible=conditions.is_visible[:, :, index],
        identity=identity,
    )


def landmarks_px(conditions: Conditions) -> Tensor:
    """Where the faces are to be: (C, T, 5, 2) px, counted from pixel centres."""
    return conditions.landmarks[0] * HEIGHT_PX - 0.5


def with_last_landmarks(
    model: BundledModel, request: Request, conditions: Conditions, landmarks: Tensor
) -> Conditions:
    """The same with the last frames' faces at `landmarks` (C, T, 5, 2) px: regions and anchors."""
    count, identity = landmarks.shape[1], conditions.identity
    kept = conditions.landmarks[:, :, :-count]
    if identity is not None:
        moved = _anchors(model, request, landmarks, conditions.expression[0, :, -count:])
        anchors = torch.cat([identity.anchors[:, :-count], moved], dim=1)
        identity = replace(identity, anchors=anchors)
    moved_landmarks = torch.cat([kept, _from_px(landmarks)], dim=2)
    return replace(conditions, landmarks=moved_landmarks, identity=identity)


def _anchors(
    model: BundledModel, request: Request, landmarks: Tensor, expression: Tensor
) -> Tensor:
    """References laid on landmarks (C, T, 5, 2) px with expressions: (1, T, latents + 1, h, w)."""
    parts, size = request.settings.parts, (HEIGHT_PX, WIDTH_PX)
    plan = PlannedFaces(
        landmarks=landmarks,
        expression=expression,
        is_visible=torch.ones(landmarks.shape[:2], dtype=torch.bool),
    )
    reenactor = model.reenactor if parts.reenactment else None
    frames, coverage = anchor_frames(request.prepared.pictures, plan, size, reenactor)
    anchors = encode_anchors(frames, coverage, model.autoencoder)
    return anchors[None].float() * parts.anchors


def _from_px(landmarks: Tensor) -> Tensor:
    return (landmarks[None] + 0.5) / HEIGHT_PX
