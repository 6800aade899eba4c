"""Which LoRAs are for few steps: by name, or by what somebody says; all others leave the model alone."""

from __future__ import annotations

import pytest

from idvid.config import LORA_GUIDANCE, LORA_KINDS, LORA_STEPS, VACE_GUIDANCE, VACE_STEPS
from idvid.errors import InputError
from idvid.pipeline.extras import FEW_STEP_SHIFT, NOTHING_ADDED, named_extras
from idvid.pipeline.vace_options import VaceOptions

FEW = (LORA_STEPS, LORA_GUIDANCE, FEW_STEP_SHIFT)
OWN = (VACE_STEPS, VACE_GUIDANCE, VaceOptions().shift)
FEW_STEP_NAMES = (
    "lightx2v/Wan2.1-T2V-14B-StepDistill-CfgDistill",
    "Kijai/WanVideo_comfy:Lightx2v/lightx2v_T2V_14B_cfg_step_distill_v2_lora_rank64_bf16.safetensors",
    "Kijai/WanVideo_comfy:Wan21_CausVid_14B_T2V_lora_rank32.safetensors",
    "Kijai/WanVideo_comfy:Wan21_AccVid_T2V_14B_lora_rank32_fp16.safetensors",
    "vrgamedevgirl84/Wan14BT2VFusioniX:FusionX_LoRa/Wan2.1_T2V_14B_FusionX_LoRA.safetensors",
    "who/Wan21-Self_Forcing-LoRA",
    "who/wan-LCM-lora",
    "who/WanStepDistill",
    "who/wan-dmd2",
    "who/wan-loras:wan_4step.safetensors",
    "who/wan-loras:wan-8-steps_v2.safetensors",
    "who/wan-few-step",
    "who/wan-lightning",
    "who/Wan-Turbo-LoRA",
)
STYLE_NAMES = (
    "who/ghibli-style",
    "who/wan-loras:oil_painting_step4000.safetensors",
    "who/wan-loras:portrait-000002-steps1400.safetensors",
    "who/wan-loras:portrait-v2-step-1400.safetensors",
    "who/calcmap",
    "who/turbos-and-cars",
    "who/12-steps-dance",
    "owner/loras:few.safetensors",
)


def suits(**words):
    options = named_extras(**words, is_public=True).options(VaceOptions())
    return options.num_steps, options.guidance_scale, options.shift


@pytest.mark.parametrize("name", FEW_STEP_NAMES)
def test_a_name_that_says_few_steps_sets_them(name):
    assert suits(lora=name) == FEW
    assert suits(lora=name, lora_kind="style") == OWN, "what somebody says goes before"


@pytest.mark.parametrize("name", STYLE_NAMES)
def test_any_other_name_leaves_the_model_as_it_is(name):
    assert suits(lora=name) == OWN
    assert suits(lora=name, lora_kind="few-step") == FEW


def test_the_reason_is_told():
    said = {
        ("who/wan-4step", "auto"): "its name says 4step",
        ("who/ghibli", "auto"): "its name says nothing of few steps",
        ("who/ghibli", "few-step"): "you said few-step",
    }
    for (name, kind), why in said.items():
        assert named_extras(lora=name, lora_kind=kind).why_kind == why


def test_of_a_folder_its_own_name_counts_and_not_where_it_lies(tmp_path):
    for folder, few in (("turbo/ghibli", False), ("ghibli/turbo", True)):
        (tmp_path / folder).mkdir(parents=True)
        assert named_extras(lora=str(tmp_path / folder)).is_few_step is few
    file = tmp_path / "turbo/ghibli/wan_4steps.safetensors"
    file.touch()
    assert named_extras(lora=str(file)).is_few_step


def test_a_kind_without_a_lora_is_nothing_and_an_unknown_one_is_refused():
    assert named_extras(lora_kind="few-step") == NOTHING_ADDED
    with pytest.raises(InputError, match=f"must be one of {', '.join(LORA_KINDS)}"):
        named_extras(lora="a/b", lora_kind="fast")
