"""A tiny VACE model that draws people, for tests in which an adapter must learn who is who.

It has learnt one still of each of a few people and cannot know which is asked for: its text says
nothing. Knows no adapter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import wan_linear_vae
import wan_tiny
from PIL import Image

from idvid.people import build_person, render_portrait, sample_person

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEEDS = (103, 104)  # of training people
SIZE_PX, PHOTO_PX, PORTRAIT_PX = 64, 128, 384
FACE_PX = 180  # of a portrait that a still shows; smaller faces do not pass the autoencoder
NUM_PHOTOS = 5
STEPS, BATCH = 400, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """P people as the tests see them; landmarks in px."""

    stills: NDArray[np.uint8]  # (P, H, W, 3)
    places: NDArray[np.float32]  # (P, 5, 2)
    photos: NDArray[np.uint8]  # (P, R, S, S, 3), none of them the still
    points: NDArray[np.float32]  # (P, R, 5, 2)


def render_people():
    """Stills of faces close by, about in the same place, and portraits."""
    people = [build_person(sample_person(seed)) for seed in SEEDS]
    large = [render_portrait(person, 1000, PORTRAIT_PX) for person in people]
    marks = np.array([portrait.landmarks for portrait in large])
    corner = marks.mean((0, 1)) + np.array([0, 10]) - FACE_PX / 2
    box = (*corner, *(corner + FACE_PX))
    stills = [
        np.asarray(
            Image.fromarray(one.image).resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS, box)
        )
        for one in large
    ]
    photos = [
        [render_portrait(person, 1001 + k, PHOTO_PX) for k in range(NUM_PHOTOS)]
        for person in people
    ]
    return People(
        stills=np.array(stills),
        places=((marks - corner) * SIZE_PX / FACE_PX - 0.5).astype(np.float32),
        photos=np.array([[photo.image for photo in own] for own in photos]),
        points=np.array([[p.landmarks for p in own] for own in photos]).astype(np.float32) - 0.5,
    )


def parts_that_draw(people):
    """The components of a `WanVACEPipeline` that draws any of the people at random."""
    from diffusers import WanVACETransformer3DModel

    pixels = torch.from_numpy(people.stills).permute(0, 3, 1, 2).float() / 127.5 - 1
    vae = wan_linear_vae.linear_vae(wan_linear_vae.fit_codec(pixels))
    torch.manual_seed(0)
    transformer = WanVACETransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=8,
        attention_head_dim=16,
        in_channels=16,
        out_channels=16,
        text_dim=32,
        ffn_dim=256,
        num_layers=2,
        rope_max_seq_len=64,
        vace_layers=[0],
        vace_in_channels=96,
    )
    with torch.no_grad():
        latents, grey = (
            vae.encode(video[:, :, None]).latent_dist.mode()
            for video in (pixels, torch.zeros_like(pixels[:1]))
        )
    _teach(transformer, latents, torch.cat([grey, grey, torch.ones(1, 64, *grey.shape[2:])], 1))
    parts = wan_tiny.parts("vace") | {"vae": vae, "transformer": transformer.eval()}
    torch.nn.init.zeros_(parts["text_encoder"].encoder.final_layer_norm.weight)
    return parts


def _teach(transformer, latents, control):
    """The velocity of the flow, at any latents (P, 16, 1, h, w) and levels as they are sampled."""
    inner = [p for n, p in transformer.named_parameters() if p.ndim == 2 and "blocks" in n]
    are_inner = {id(p) for p in inner}
    outer = [p for p in transformer.parameters() if id(p) not in are_inner]
    optimisers = [
        torch.optim.Muon(inner, lr=0.01, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outer, lr=0.005, weight_decay=0.0),
    ]
    source = torch.Generator().manual_seed(0)
    text, control = torch.zeros(BATCH, 4, 32), control.expand(BATCH, -1, -1, -1, -1)
    for step in range(STEPS):
        who = torch.randint(len(latents), (BATCH,), generator=source)
        level = torch.sigmoid(torch.randn(BATCH, generator=source))
        level = 3 * level / (1 + 2 * level)
        noise = torch.randn(BATCH, *latents.shape[1:], generator=source)
        share = level.view(-1, 1, 1, 1, 1)
        velocity = transformer(
            hidden_states=(1 - share) * latents[who] + share * noise,
            timestep=level * 1000,
            encoder_hidden_states=text,
            control_hidden_states=control,
            return_dict=False,
        )[0]
        (velocity - (noise - latents[who])).square().mean().backward()
        for optimiser, rate in zip(optimisers, (0.01, 0.005), strict=True):
            optimiser.param_groups[0]["lr"] = rate * min(1, (step + 1) / 20) * (1 - step / STEPS)
            optimiser.step()
            optimiser.zero_grad()
