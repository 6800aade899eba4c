"""Sizes before and after loading agree: configurations, headers of files, and loaded weights."""

import json

import pytest
import torch
from diffusers import WanVACEPipeline
from diffusers.hooks import apply_layerwise_casting
from safetensors.torch import save_file

from idvid.errors import ModelError
from idvid.models.parts import build_part, read_parts, stored_weights
from idvid.models.published import PUBLISHED, PartConfig
from idvid.models.sizes import component_size, fp8_skip_patterns
from idvid.runtime import GIB, TEXT_ENCODER, TRANSFORMER, VAE
from tests import wan_tiny

# Known before: the counts of the full-size classes, and bytes in GiB at bfloat16, fp8 and nf4.
KNOWN = {
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": (1_418_996_800, 2.65, 1.35, 0.7),
    "Wan-AI/Wan2.1-T2V-14B-Diffusers": (14_288_491_584, 26.7, 13.5, 6.8),
    "Wan-AI/Wan2.1-VACE-1.3B-diffusers": (2_153_972_032, 4.02, 2.03, 1.1),
    "Wan-AI/Wan2.1-VACE-14B-diffusers": (17_337_592_896, 32.4, 16.4, 8.2),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny VACE model in the Hub's form, saved in bfloat16 as the public ones are."""
    path = tmp_path_factory.mktemp("wan") / "tiny"
    parts = wan_tiny.parts("vace")
    for name in (TEXT_ENCODER, TRANSFORMER):
        parts[name].to(torch.bfloat16)
    WanVACEPipeline(**parts).save_pretrained(path)
    return path


def held(module):
    """Bytes of all parameters, each counted once."""
    return sum(p.numel() * p.element_size() for p in module.parameters())


def buffers(module):
    return sum(b.numel() * b.element_size() for b in module.buffers())


def as_loaded(module, dtype, keep=()):
    for name, parameter in module.named_parameters():
        if not set(keep) & set(name.split(".")):
            parameter.data = parameter.data.to(dtype)
    return module


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_public_models_have_their_known_sizes(wan_parts, model):
    transformer = component_size(TRANSFORMER, wan_parts[model][TRANSFORMER])
    count, half, fp8, nf4 = KNOWN[model]
    assert transformer.num_params == count
    assert transformer.at("bfloat16").total / GIB == pytest.approx(half, abs=0.06)
    assert transformer.at("fp8").total / GIB == pytest.approx(fp8, rel=0.02)
    assert transformer.at("int8").total / GIB == pytest.approx(fp8, rel=0.02)
    assert transformer.at("nf4").total / GIB == pytest.approx(nf4, rel=0.05)


def test_what_the_public_models_share_has_its_known_size(wan_parts):
    parts = wan_parts["Wan-AI/Wan2.1-VACE-1.3B-diffusers"]
    text, vae = component_size(TEXT_ENCODER, parts[TEXT_ENCODER]), component_size(VAE, parts[VAE])
    assert text.num_params == 5_680_910_336
    assert text.at("bfloat16").total / GIB == pytest.approx(10.6, abs=0.05)
    kept = 1.4  # `wo`, which transformers keeps in bfloat16
    assert text.at("nf4").total / GIB == pytest.approx(4.2 + kept, abs=0.1)
    assert vae.num_params == 126_892_531
    assert vae.at("bfloat16").precision == "float32", "the VAE stays in float32"
    assert vae.at("bfloat16").total / GIB == pytest.approx(0.473, abs=0.01)


def test_one_block_of_the_public_models_has_its_known_size(wan_parts):
    for model, known in (("T2V-1.3B", 0.087), ("T2V-14B", 0.655)):
        part = wan_parts[f"Wan-AI/Wan2.1-{model}-Diffusers"][TRANSFORMER]
        size = component_size(TRANSFORMER, part).at("bfloat16")
        assert size.largest_block / GIB == pytest.approx(known, abs=0.001)
        assert size.streamed < 0.1 * size.total


def test_configurations_headers_and_loaded_weights_agree(folder):
    loaded = WanVACEPipeline.from_pretrained(
        folder, dtype={"default": torch.bfloat16, VAE: torch.float32}
    )
    configs = read_parts(folder)
    assert set(configs) == {TEXT_ENCODER, TRANSFORMER, VAE}
    for name, config in configs.items():
        module = build_part(config)
        assert all(p.is_meta for p in module.parameters())
        size, stored = component_size(name, module), stored_weights(folder / name)
        assert size.num_params == stored.num_params
        there = getattr(loaded, name)
        assert size.at("bfloat16").total == held(there) + buffers(module)
        if name == TRANSFORMER:  # on disk the norms are in bfloat16, too
            assert stored.num_bytes == 2 * stored.num_params < held(there)
        else:
            assert stored.num_bytes == held(there)


def test_counted_fp8_is_what_casting_leaves(folder):
    loaded = WanVACEPipeline.from_pretrained(folder, dtype=torch.bfloat16)
    for name in (TEXT_ENCODER, TRANSFORMER):
        part = getattr(loaded, name)
        size = component_size(name, part).at("fp8")
        patterns = fp8_skip_patterns(part)
        apply_layerwise_casting(part, torch.float8_e4m3fn, torch.bfloat16, patterns)
        assert size.total - buffers(part) == held(part)


def test_skipped_layers_are_those_that_diffusers_skips(folder):
    ours, theirs = (
        WanVACEPipeline.from_pretrained(folder, dtype=torch.bfloat16).transformer for _ in range(2)
    )
    apply_layerwise_casting(ours, torch.float8_e4m3fn, torch.bfloat16, fp8_skip_patterns(ours))
    theirs.enable_layerwise_casting(torch.float8_e4m3fn, torch.bfloat16)
    assert {n: p.dtype for n, p in ours.named_parameters()} == {
        n: p.dtype for n, p in theirs.named_parameters()
    }


def test_attached_weights_count():
    transformer = wan_tiny.t2v_transformer()
    before = component_size(TRANSFORMER, transformer)
    transformer.blocks[0].attn2.extra = torch.nn.Linear(8, 8, bias=False)
    after = component_size(TRANSFORMER, transformer)
    assert after.num_params - before.num_params == 64
    assert after.at("bfloat16").total - before.at("bfloat16").total == 128
    assert after.at("bfloat16").streamed - before.at("bfloat16").streamed == 128


def test_locked_memory_is_rounded_up_tensor_by_tensor():
    module = torch.nn.Sequential(torch.nn.Linear(48, 50, bias=False), torch.nn.Linear(16, 16))
    size = component_size(TRANSFORMER, module).at("bfloat16")
    assert size.total == 2 * (48 * 50 + 16 * 16 + 16)
    assert size.pinned == 8192 + 512 + 32


def test_a_damaged_file_of_weights_is_one_sentence(folder, tmp_path):
    whole = next((folder / VAE).glob("*.safetensors")).read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged or cut off; .*\.$"):
        stored_weights(tmp_path)


def test_weights_in_several_files_are_added_up(tmp_path):
    assert stored_weights(tmp_path) is None
    save_file({"a": torch.zeros(3, 4)}, tmp_path / "1.safetensors")
    save_file({"b": torch.zeros(5, dtype=torch.float8_e4m3fn)}, tmp_path / "2.safetensors")
    stored = stored_weights(tmp_path)
    assert (stored.num_params, stored.num_bytes) == (17, 53)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (PartConfig(library="os", class_name="system", config={}), "does not know"),
        (PartConfig(library="diffusers", class_name="NoSuchModel", config={}), "does not know"),
        (
            PartConfig(library="transformers", class_name="UMT5EncoderModel", config={"d_kv": "x"}),
            "does not fit its class",
        ),
    ],
)
def test_what_cannot_be_built_is_one_sentence(part, says):
    with pytest.raises(ModelError, match=rf"{says}.*\.$"):
        build_part(part)


def test_a_folder_that_is_no_model_is_one_sentence(tmp_path):
    with pytest.raises(ModelError, match=r"model_index\.json is missing or damaged; .*\.$"):
        read_parts(tmp_path)
    (tmp_path / "model_index.json").write_text(json.dumps({"vae": ["diffusers", "X"]}))
    with pytest.raises(ModelError, match=r"no part with a config\.json"):
        read_parts(tmp_path)
    (tmp_path / "model_index.json").write_text("[1]")
    with pytest.raises(ModelError, match="holds no settings"):
        read_parts(tmp_path)
