"""What a Wan model holds in memory beside its weights, phase by phase.

The formulas follow diffusers' code at the moment of each phase at which most is alive; tests run
the full-size models on the meta device, count what is alive after every operation, and hold the
formulas to that count. N is the number of tokens: latent frames (references included) x h x w of
the 2x2 patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """The widths of a Wan model that its activations depend on."""

    is_vace: bool
    num_hints: int  # of VACE, alive beside the last state of the branch that makes them
    width: int
    head: int
    feed_forward: int
    channels: int  # of the VAE at full size
    text_width: int
    text_heads: int


def wan_phases(parts: Mapping[str, nn.Module], request: VideoRequest) -> tuple[Phase, ...]:
    """The phases of a run of a Wan pipeline.

    Args:
        parts: Text encoder, transformer and VAE by name; they may be on the meta device.
        request: The video asked for.
    """
    shape = _shape(parts)
    prompts = 2 * _TEXT_TOKENS * shape.text_width * _HALF
    carried = _latents(request, shape) + prompts
    encode = _text(shape)
    denoise = carried + _denoising(shape, request)
    whole, tiled = (
        carried + decoding(request, shape.channels) for decoding in (_decoding, _tiled_decoding)
    )
    phases = [
        Phase(component=TEXT_ENCODER, activation=encode, activation_tiled=encode),
        Phase(component=TRANSFORMER, activation=denoise, activation_tiled=denoise),
        Phase(component=VAE, activation=whole, activation_tiled=tiled),
    ]
    if shape.is_vace:
        phases.insert(1, _source_encoding(shape, request, carried))
    return tuple(phases)


def _shape(parts: Mapping[str, nn.Module]) -> _Shape:
    text: Any = parts[TEXT_ENCODER].config
    transformer: Any = parts[TRANSFORMER].config
    vae: Any = parts[VAE].config
    hints = getattr(transformer, "vace_layers", None)
    return _Shape(
        is_vace=hints is not None,
        num_hints=len(hints or ()),
        width=transformer.num_attention_heads * transformer.attention_head_dim,
        head=transformer.attention_head_dim,
        feed_forward=transformer.ffn_dim,
        channels=vae.base_dim,
        text_width=text.d_model,
        text_heads=text.num_heads,
    )


def _text(shape: _Shape) -> int:
    """Three times the attention scores of a layer, and its hidden states.

    Twice: on an H100 it took 0.06 GiB more than is alive by count.
    """
    scores = shape.text_heads * _TEXT_TOKENS**2 * _HALF
    return 2 * (3 * scores + 8 * _TEXT_TOKENS * shape.text_width * _HALF)


def _frames(request: VideoRequest, shape: _Shape) -> int:
    """Latent frames; VACE puts its references before the video's own."""
    return request.latent_frames + (request.num_references if shape.is_vace else 0)


def _latents(request: VideoRequest, shape: _Shape) -> int:
    """Noisy latents and what the scheduler remembers, 16 channels; VACE's conditions, 96."""
    cells = _frames(request, shape) * (request.height // 8) * (request.width // 8)
    return cells * (8 * 16 * _FULL + (96 * _HALF if shape.is_vace else 0))


def _denoising(shape: _Shape, request: VideoRequest) -> int:
    """One forward pass, in rows of N x width bfloat16 values.

    The largest moment is the feed-forward layer, where two rows of its own width are alive beside
    4 rows, or the rotation of the queries, where float32 products make it 11. VACE has made all
    its hints by then, a row each, and keeps the last state of its own branch.
    """
    tokens = _frames(request, shape) * (request.height // _PATCH) * (request.width // _PATCH)
    row = request.batch * tokens * shape.width * _HALF
    feed_forward = 4 * row + 2 * request.batch * tokens * shape.feed_forward * _HALF
    hints = shape.num_hints + 1 if shape.is_vace else 0
    rotary = tokens * shape.head * 2 * _FULL
    text = 4 * _TEXT_TOKENS * shape.width * _HALF
    return hints * row + max(feed_forward, 11 * row) + rotary + text


def _source_encoding(shape: _Shape, request: VideoRequest, carried: int) -> Phase:
    """VACE's source video through the VAE; without one it is an empty video of that size.

    diffusers' own pipeline holds five such videos, masks among them, and keeps one to the end; ours
    makes one at a time, and lays masks out on latents.
    """
    sources = request.video_bytes + carried
    pixel = int(_ENCODER_VALUES * shape.channels) * _FULL
    return Phase(
        component=VAE,
        activation=sources + pixel * request.height * request.width,
        activation_tiled=sources + pixel * _tile_area(request),
    )


def _decoding(request: VideoRequest, channels: int) -> int:
    """The last frames in the largest convolution beside those that are done, or all as bytes."""
    convolution = int(_DECODER_VALUES * channels) * _FULL * request.height * request.width
    as_bytes = request.video_bytes * 5 // 4  # a copy in 0..255, and a quarter of it
    return request.video_bytes + max(convolution, as_bytes)


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
