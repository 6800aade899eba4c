"""What a Wan model holds in memory beside its weights, phase by phase.

The formulas follow diffusers' code at the moment of each phase at which most is alive; tests run
the full-size models on the meta device, count what is alive after every operation, and hold the
formulas to that count. N is the number of tokens: latent frames (references included) x h x w of
the 2x2 patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idvid.errors import InputError
from idvid.runtime import TEXT_ENCODER, TRANSFORMER, VAE, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

_TEXT_TOKENS = 512  # Wan pads every prompt to this
_HALF, _FULL = 2, 4  # bytes of bfloat16 and float32
_PATCH = 16  # pixels of a token: 8 of the VAE, 2 of the patch
_TILE, _STRIDE = 256, 192  # pixels of a VAE tile, and from one to the next (diffusers' defaults)
# float32 values alive per pixel and base channel in the largest convolution, caches included.
_DECODER_VALUES, _ENCODER_VALUES = 51.0, 37.8
_VACE_VIDEOS = 5  # alive while VACE encodes: video, mask, hard mask, and both masked videos


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRequest:
    """How much video is asked for at once: one window of a clip."""

    num_frames: int = 81
    height: int = 480  # pixels, a multiple of 16
    width: int = 832
    num_references: int = 2  # reference pictures; models without references ignore them
    batch: int = 1  # 2 where guidance runs both branches in one pass; diffusers' Wan does not

    def __post_init__(self) -> None:
        sizes = (self.height, self.width)
        if any(s < _PATCH or s % _PATCH for s in sizes) or self.num_frames < 1:
            raise InputError(
                f"A video of {self.width}x{self.height} pixels and {self.num_frames} frames cannot "
                f"be made; sides must be multiples of {_PATCH}, and there is at least one frame."
            )

    @property
    def latent_frames(self) -> int:
        """Frames after the VAE's fourfold compression in time, references not included."""
        return (self.num_frames - 1) // 4 + 1

    @property
    def video_bytes(self) -> int:
        """The video as float32 pixels."""
        return 3 * self.num_frames * self.height * self.width * _FULL


def wan_phases(parts: Mapping[str, nn.Module], request: VideoRequest) -> tuple[Phase, ...]:
    """The phases of a run of a Wan pipeline.

    Args:
        parts: Text encoder, transformer and VAE by name; they may be on the meta device.
        request: The video asked for.
    """
    vace = hasattr(parts[TRANSFORMER].config, "vace_layers")
    carried = _latents(request, vace) + 2 * _TEXT_TOKENS * parts[TRANSFORMER].config.text_dim * 2
    video = request.video_bytes if vace else 0  # VACE keeps its source video to the end
    channels = parts[VAE].config.base_dim
    encode = _text(parts[TEXT_ENCODER].config)
    denoise = carried + video + _denoising(parts[TRANSFORMER].config, request, vace)
    whole, tiled = (video + carried + f(request, channels) for f in (_decoding, _tiled_decoding))
    phases = [
        Phase(component=TEXT_ENCODER, activation=encode, activation_tiled=encode),
        Phase(component=TRANSFORMER, activation=denoise, activation_tiled=denoise),
        Phase(component=VAE, activation=whole, activation_tiled=tiled),
    ]
    if vace:
        sources = _VACE_VIDEOS * request.video_bytes + carried
        conv = int(_ENCODER_VALUES * channels) * _FULL
        encoding = Phase(
            component=VAE,
            activation=sources + conv * request.height * request.width,
            activation_tiled=sources + conv * _tile_area(request),
        )
        phases.insert(1, encoding)
    return tuple(phases)


def _text(config: object) -> int:
    """Attention scores of one layer: float32 sums of bfloat16 ones; and its hidden states."""
    heads, width = (getattr(config, name) for name in ("num_heads", "d_model"))
    scores = heads * _TEXT_TOKENS**2 * _HALF
    return 3 * scores + 8 * _TEXT_TOKENS * width * _HALF


def _latents(request: VideoRequest, vace: bool) -> int:
    """Noisy latents and what the scheduler remembers, 16 channels; VACE's conditions, 96."""
    frames = request.latent_frames + (request.num_references if vace else 0)
    cells = frames * (request.height // 8) * (request.width // 8)
    return cells * (8 * 16 * _FULL + (96 * _HALF if vace else 0))


def _denoising(config: object, request: VideoRequest, vace: bool) -> int:
    """One forward pass, in rows of N x width bfloat16 values.

    The largest moment is the feed-forward layer, where two rows of its own width are alive beside
    4 rows, or the rotation of the queries, where float32 products make it 11. VACE has made all
    its hints by then, a row each, and keeps the last state of its own branch.
    """
    heads, head, ffn = (
        getattr(config, name) for name in ("num_attention_heads", "attention_head_dim", "ffn_dim")
    )
    frames = request.latent_frames + (request.num_references if vace else 0)
    tokens = frames * (request.height // _PATCH) * (request.width // _PATCH)
    row = request.batch * tokens * heads * head * _HALF
    feed_forward = 4 * row + 2 * request.batch * tokens * ffn * _HALF
    hints = len(config.vace_layers) + 1 if vace else 0  # pyright: ignore[reportAttributeAccessIssue]
    rotary = tokens * head * 2 * _FULL
    text = 4 * _TEXT_TOKENS * heads * head * _HALF
    return hints * row + max(feed_forward, 11 * row) + rotary + text


def _decoding(request: VideoRequest, channels: int) -> int:
    """The last frames in the largest convolution, beside the frames that are done."""
    area = request.height * request.width
    return request.video_bytes + int(_DECODER_VALUES * channels) * _FULL * area


def _tiled_decoding(request: VideoRequest, channels: int) -> int:
    """All tiles are kept, overlaps included; either one is decoded or they are put together."""
    tiles = request.video_bytes * _overlap(request.height) * _overlap(request.width)
    convolution = int(_DECODER_VALUES * channels) * _FULL * _tile_area(request)
    return int(tiles + max(convolution, 3 * request.video_bytes))


def _overlap(side: int) -> float:
    """How many times a side's pixels are held by its tiles."""
    starts = range(0, side, _STRIDE)
    return sum(min(_TILE, side - start) for start in starts) / side


def _tile_area(request: VideoRequest) -> int:
    return min(_TILE, request.height) * min(_TILE, request.width)
