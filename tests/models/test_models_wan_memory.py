"""The memory formulas against a count: full-size models on the meta device, every tensor followed."""

import weakref

import pytest
import torch
from diffusers import AutoencoderKLWan
from PIL import Image
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from idvid.config import GenerationSettings
from idvid.errors import InputError
from idvid.models.published import PUBLISHED
from idvid.models.wan_memory import VideoRequest, wan_phases
from idvid.pipeline.vace import IdVidVacePipeline
from idvid.pipeline.vace_options import VaceOptions
from idvid.runtime import TEXT_ENCODER, TRANSFORMER, VAE
from idvid.types import Scene
from tests import made_up_faces, wan_tiny

T2V_SMALL, T2V_LARGE, VACE_SMALL, VACE_LARGE = PUBLISHED


class _Flash(TorchFunctionMode):
    """Attention that allocates what the fused kernels of a GPU do; on meta it would be N x N."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            query = kwargs["query"] if "query" in kwargs else args[0]
            _row_sums = torch.empty(query.shape[:3], device=query.device, dtype=torch.float32)
            return torch.empty_like(query)
        return func(*args, **kwargs)


class Count(TorchDispatchMode):
    """The bytes of all tensors that are alive, but for those of the given modules and tensors."""

    def __init__(self, *known):
        super().__init__()
        self.alive = self.peak = 0
        self.seen = weakref.WeakSet()
        self.flash = _Flash()
        for thing in known:
            is_module = isinstance(thing, torch.nn.Module)
            for tensor in [*thing.parameters(), *thing.buffers()] if is_module else [thing]:
                self.seen.add(tensor.untyped_storage())

    def __enter__(self):
        self.flash.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.flash.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            storage = tensor.untyped_storage() if isinstance(tensor, torch.Tensor) else None
            if storage is not None and storage not in self.seen:
                self.seen.add(storage)
                weakref.finalize(storage, self._gone, storage.nbytes())
                self.alive += storage.nbytes()
                self.peak = max(self.peak, self.alive)
        return out

    def _gone(self, num_bytes):
        self.alive -= num_bytes


def meta(*shape, dtype=torch.bfloat16):
    return torch.empty(*shape, device="meta", dtype=dtype)


def half(module):
    """In bfloat16, with float32 where diffusers keeps it; the module itself is changed."""
    for name, parameter in module.named_parameters():
        if not set(module._keep_in_fp32_modules) & set(name.split(".")):
            parameter.data = parameter.data.to(torch.bfloat16)
    return module


def phase(parts, request, component, index=0):
    found = [p for p in wan_phases(parts, request) if p.component == component]
    return found[index]


@torch.no_grad()
def denoise_peak(transformer, request):
    vace = hasattr(transformer.config, "vace_layers")
    frames = request.latent_frames + (request.num_references if vace else 0)
    cells = (frames, request.height // 8, request.width // 8)
    inputs = {
        "hidden_states": meta(1, 16, *cells),
        "timestep": meta(1, dtype=torch.float32),
        "encoder_hidden_states": meta(1, 512, 4096),
    }
    if vace:
        inputs["control_hidden_states"] = meta(1, 96, *cells)
    with Count(transformer, *inputs.values()) as count:
        transformer(**inputs)
    return count.peak


@pytest.mark.parametrize("model", PUBLISHED)
@pytest.mark.parametrize("size", [(81, 480, 832), (17, 256, 256)])
def test_a_forward_pass_takes_what_the_formula_says(wan_parts, model, size):
    request = VideoRequest(num_frames=size[0], height=size[1], width=size[2])
    counted = denoise_peak(half(wan_parts[model][TRANSFORMER]), request)
    said = phase(wan_parts[model], request, TRANSFORMER).activation
    assert counted <= said <= counted * 1.1 + 20e6  # latents and prompts are carried, too


def test_guidance_in_one_pass_doubles_the_rows(wan_parts):
    single, double = (
        phase(wan_parts[T2V_LARGE], VideoRequest(batch=batch), TRANSFORMER).activation
        for batch in (1, 2)
    )
    assert 1.8 * single < double < 2 * single


def test_the_text_encoder_takes_what_the_formula_says(wan_parts):
    encoder = wan_parts[T2V_SMALL][TEXT_ENCODER].to(torch.bfloat16)
    encoder.set_attn_implementation("eager")  # holds all scores; the fused kernel holds less
    ids = torch.zeros(1, 512, dtype=torch.long, device="meta")
    with Count(encoder, ids) as count, torch.no_grad():
        encoder(ids)
    said = phase(wan_parts[T2V_SMALL], VideoRequest(), TEXT_ENCODER).activation
    assert 2 * count.peak <= said <= 2 * count.peak * 1.1  # an H100 took more than is counted


@pytest.mark.parametrize("size", [(81, 480, 832), (17, 720, 1280)])
def test_decoding_takes_what_the_formula_says(wan_parts, size):
    request = VideoRequest(num_frames=size[0], height=size[1], width=size[2])
    vae = wan_parts[T2V_SMALL][VAE]
    latents = meta(1, 16, request.latent_frames, size[1] // 8, size[2] // 8, dtype=torch.float32)
    with Count(vae, latents) as count, torch.no_grad():
        vae.decode(latents)
    said = phase(wan_parts[T2V_SMALL], request, VAE).activation
    assert count.peak <= said <= count.peak * 1.1


@pytest.mark.parametrize("channels", [96, 4])  # the convolution is largest; the tiles are
def test_decoding_in_tiles_takes_what_the_formula_says(wan_parts, channels):
    request = VideoRequest(num_frames=17 if channels == 4 else 5, height=320, width=448)
    with torch.device("meta"):
        vae = AutoencoderKLWan(base_dim=channels).eval()
    latents = meta(1, 16, request.latent_frames, 40, 56, dtype=torch.float32)
    vae.enable_tiling()
    with Count(vae, latents) as count, torch.no_grad():
        vae.decode(latents)
    said = phase(wan_parts[T2V_SMALL] | {VAE: vae}, request, VAE).activation_tiled
    assert count.peak <= said <= count.peak * 1.1


@pytest.mark.parametrize("tiled", [False, True])
def test_encoding_a_source_video_takes_what_the_formula_says(wan_parts, tiled):
    request = VideoRequest(num_frames=9, height=320, width=272)
    vae = wan_parts[VACE_SMALL][VAE]
    video = meta(1, 3, 9, 320, 272, dtype=torch.float32)
    vae.use_tiling = tiled
    with Count(vae, video) as count, torch.no_grad():
        vae.encode(video)
    vae.use_tiling = False
    encoding = phase(wan_parts[VACE_SMALL], request, VAE)
    said = encoding.activation_tiled if tiled else encoding.activation
    source = request.video_bytes  # held by the pipeline, not by the VAE
    assert count.peak <= said - source <= count.peak * 1.15


@pytest.mark.parametrize("photos", [0, 2])
def test_a_whole_run_of_vace_takes_what_its_largest_phase_takes(photos, monkeypatch):
    """A real run at a tiny size, in which what the pipeline itself holds counts for most."""
    for module in ("models.wan_memory._TEXT_TOKENS", "pipeline.vace.TEXT_TOKENS"):
        monkeypatch.setattr(f"idvid.{module}", 16)
    small = [Image.new("RGB", (32, 32))] * photos  # beside a video as small as this one
    monkeypatch.setattr("idvid.pipeline.vace.portraits", lambda _: small)
    size = {"num_frames": 97, "height": 64, "width": 96}
    request = VideoRequest(**size, num_references=photos)
    pipeline = IdVidVacePipeline(**wan_tiny.parts("vace"))
    pipeline.options = VaceOptions(
        width_px=96, height_px=64, window_frames=97, kept_frames=5, fps=16
    )
    parts = {n: getattr(pipeline, n) for n in (TEXT_ENCODER, TRANSFORMER, VAE)}
    references = made_up_faces.references(*[1] * photos)
    cast = made_up_faces.characters(references)
    scene = Scene(prompt=" ".join(f"@{one.name}" for one in cast), characters=cast, seconds=97 / 16)
    with Count(*parts.values()) as count, torch.no_grad():
        pipeline(scene, references, GenerationSettings(num_steps=2))
    said = max(p.activation for p in wan_phases(parts, request))
    assert count.peak <= said <= count.peak * 1.1


@pytest.mark.parametrize("size", [(0, 480, 832), (81, 481, 832), (81, 480, 0), (81, -16, 832)])
def test_a_size_that_cannot_be_made_is_one_sentence(size):
    with pytest.raises(InputError, match=r"multiples of 16, .*\.$"):
        VideoRequest(num_frames=size[0], height=size[1], width=size[2])
