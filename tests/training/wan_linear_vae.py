"""Wan's autoencoder with weights that make it a linear codec: no training, exact arithmetic.

Every 8 x 8 patch of a picture becomes its 14 principal components. Two further latents say where the
patch is, because Wan's transformers know places only in relation to each other, and in pure noise
there is nothing to relate to; decoding ignores them. Convolutions find places as those of trained
networks do, by the zeros around the picture (Islam et al. 2020).

The convolutions carry values past the network's norms: one channel holds a large constant, so that
each norm divides by nearly the same number everywhere, and what is left is so small that SiLU halves
it.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import patchify
from torch.nn import functional

COMPONENTS, PATCH_PX = 14, 8
LATENTS = COMPONENTS + 2  # and the place from left to right, from top to bottom
VALUES = 3 * PATCH_PX**2
_LARGE = 1e4
_NORMED = (LATENTS + 1) ** 0.5  # the large channel behind a norm
_CONSTANT = float(functional.silu(torch.tensor(_NORMED)))  # and behind SiLU
_UNDO = 2 * _LARGE / _NORMED  # of norm and SiLU, for the others
_SPREAD = torch.tensor([2.0, 3.0, 2.0])  # what is known at a border is told to its neighbours
_PLACE = 0.1  # size of the places' latents at the borders: 1.3


def fit_codec(pictures):
    """Principal components of pictures (N, 3, H, W) in -1..1: mean (192,), basis (14, 192).

    The basis is scaled so that latents have unit variance over all patches.
    """
    patches = patchify(pictures[:, :, None], PATCH_PX).movedim(1, -1).reshape(-1, VALUES)
    mean = patches.mean(0)
    _, sizes, axes = torch.linalg.svd(patches - mean, full_matrices=False)
    scale = sizes[:COMPONENTS] / len(patches) ** 0.5
    return {"mean": mean, "basis": (axes[:COMPONENTS] * scale[:, None]).contiguous()}


def linear_vae(codec):
    """The codec as the autoencoder that Wan pipelines load; one latent frame per frame."""
    vae = AutoencoderKLWan(
        base_dim=LATENTS + 1,
        z_dim=LATENTS,
        dim_mult=[1],
        num_res_blocks=1,
        temperal_downsample=[],
        in_channels=VALUES,
        out_channels=VALUES,
        patch_size=PATCH_PX,
        latents_mean=[0.0] * LATENTS,
        latents_std=[1.0] * LATENTS,
    )
    mean, up = codec["mean"], codec["basis"]
    down = up / up.square().sum(1, keepdim=True)
    large = functional.one_hot(torch.tensor(0), LATENTS + 1) * _LARGE
    components, places = slice(1, COMPONENTS + 1), (COMPONENTS + 1, COMPONENTS + 2)
    with torch.no_grad():
        for name, weight in vae.named_parameters():
            weight.fill_(1.0 if "gamma" in name else 0.0)  # residual branches add nothing
        encoder, decoder = vae.encoder, vae.decoder
        _centre(encoder.conv_in)[components] = down
        encoder.conv_in.bias.copy_(large)
        encoder.conv_in.bias[components] = -down @ mean
        _find_places(encoder.down_blocks[0], large, places)
        _centre(encoder.conv_out)[:COMPONENTS, components] = _UNDO * torch.eye(COMPONENTS)
        for axis, place in enumerate(places):
            row = _line(encoder.conv_out, axis)[place - 1, place]
            row.copy_(_PLACE * _UNDO * _SPREAD)
        _centre(vae.quant_conv).copy_(torch.eye(2 * LATENTS))
        _centre(vae.post_quant_conv).copy_(torch.eye(LATENTS))
        _centre(decoder.conv_in)[1:] = torch.eye(LATENTS)
        decoder.conv_in.bias.copy_(large)
        _centre(decoder.conv_out)[:, components] = _UNDO * up.T
        decoder.conv_out.bias.copy_(mean)
    return vae.eval().requires_grad_(False)


def _find_places(block, large, places):
    """Make a residual block add, to the place channels, how near a border is and which one."""
    block.conv1.bias.copy_(large)
    for axis, place in enumerate(places):
        # The two neighbours' difference: 0 but where one of them lies outside of the picture.
        ends = _line(block.conv1, axis)[place, 0]
        ends.copy_(torch.tensor([1.0, 0.0, -1.0]) / _CONSTANT)
        _line(block.conv2, axis)[place, place] = _UNDO * _SPREAD


def _centre(convolution):
    """A convolution's weights (out, in) for the pixel itself."""
    rows, columns = (side // 2 for side in convolution.kernel_size[1:])
    return convolution.weight[:, :, -1, rows, columns]


def _line(convolution, axis):
    """A convolution's weights (out, in, 3) for the pixels left and right (0), above and below (1)."""
    weight = convolution.weight[:, :, -1]
    return weight[:, :, 1] if axis == 0 else weight[:, :, :, 1]
