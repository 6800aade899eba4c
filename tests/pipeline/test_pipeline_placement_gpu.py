"""Plans on real GPUs: weights lie where the plan says, and the peak is the one it expects."""

import dataclasses
import gc

import pytest
import torch
from diffusers import WanVACEPipeline

from idvid.models.parts import build_part
from idvid.models.published import PUBLISHED
from idvid.models.sizes import component_size
from idvid.models.wan_memory import VideoRequest
from idvid.pipeline.placement import apply_plan
from idvid.runtime import TEXT_ENCODER, TRANSFORMER
from tests import wan_tiny
from tests.pipeline.test_pipeline_placement import CPU, NAMES, frames, new_pipeline, plans

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _nothing_is_left_on_the_gpu():
    """Hooks hold a placed pipeline in circles, and its weights would count in the next peak."""
    gc.collect()
    torch.cuda.empty_cache()


@pytest.mark.parametrize("name", NAMES)
def test_on_a_gpu_the_plan_is_where_the_weights_are(name):
    pipeline = new_pipeline()
    expected = frames(pipeline)
    plan = plans(pipeline)[(name, False)]
    apply_plan(pipeline, plan)
    made = frames(pipeline)
    frames(pipeline)
    assert (made.cpu() - expected).abs().mean() < 0.02
    encoder = {p.device.type for p in pipeline.text_encoder.parameters()}
    assert encoder == ({"cuda"} if name == "gpu" else {"cpu"})


def test_on_several_gpus_the_blocks_are_split():
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    pipeline = new_pipeline()
    expected = frames(pipeline)
    plan = plans(pipeline)[("gpu", False)]
    block = component_size(TRANSFORMER, pipeline.transformer).at("float32").largest_block
    layout = dataclasses.replace(plan.layout, shares=(6 * block, 6 * block))
    apply_plan(pipeline, dataclasses.replace(plan, layout=layout))
    assert {p.device.index for p in pipeline.transformer.parameters()} == {0, 1}
    assert (frames(pipeline).cpu() - expected).abs().mean() < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_on_a_gpu_the_peak_is_what_the_plan_expects(name):
    """Full-size VACE 1.3B, whatever values its weights have: within 10%, and never under."""
    configs = PUBLISHED["Wan-AI/Wan2.1-VACE-1.3B-diffusers"]
    parts = {part: build_part(config).to_empty(device=CPU) for part, config in configs.items()}
    for part in (TEXT_ENCODER, TRANSFORMER):
        parts[part].to(torch.bfloat16)
    tiny = wan_tiny.parts("vace")
    pipeline = WanVACEPipeline(tokenizer=tiny["tokenizer"], scheduler=tiny["scheduler"], **parts)
    request = VideoRequest(num_references=0)
    plan = plans(pipeline, request=request)[(name, False)]
    apply_plan(pipeline, plan)
    gc.collect()
    torch.cuda.reset_peak_memory_stats()
    with torch.no_grad():
        pipeline(
            prompt="a man",
            num_frames=request.num_frames,
            height=request.height,
            width=request.width,
            num_inference_steps=2,
            output_type="pt",
        )
    peak = torch.cuda.max_memory_allocated()
    assert peak <= plan.peak_vram[0] <= 1.1 * peak
