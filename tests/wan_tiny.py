"""Wan at a tiny size: random weights in the true format, with a tokenizer trained on the spot."""

from __future__ import annotations

import json

import torch

ID_DIM = 16
VACE_SIZE = {"width_px": 48, "height_px": 32, "window_frames": 9, "kept_frames": 5}
GRID = (3, 2, 3)  # video tokens in time, height, width of `inputs`
_COMMON = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 32,
    "ffn_dim": 32,
    "num_layers": 3,
    "rope_max_seq_len": 64,
}


def t2v_transformer():
    from diffusers import WanTransformer3DModel

    torch.manual_seed(0)
    return WanTransformer3DModel(**_COMMON).eval().requires_grad_(False)


def vace_transformer():
    from diffusers import WanVACETransformer3DModel

    torch.manual_seed(0)
    sizes = {"vace_layers": [0, 2], "vace_in_channels": 96}
    return WanVACETransformer3DModel(**_COMMON, **sizes).eval().requires_grad_(False)


def identity_layers(gate=1.0, **config):
    from idvid.models.wan_identity import WanIdentityLayers

    torch.manual_seed(1)
    sizes = {"dim": 24, "id_dim": ID_DIM, "layer_ids": [0, 1, 2]}
    layers = WanIdentityLayers(**(sizes | config))
    for layer in layers.layers:
        torch.nn.init.normal_(layer.to_v_ip.weight, std=0.5)
        torch.nn.init.constant_(layer.gate, gate)
    return layers


def identity_tokens(seed=3, characters=2):
    return torch.randn(1, characters, 4, ID_DIM, generator=torch.Generator().manual_seed(seed))


def inputs(kind="t2v", dtype=torch.float32):
    """Latents of 3 x 4 x 6, a text of 16 tokens, and for VACE its control latents."""
    source = torch.Generator().manual_seed(2)

    def noise(*shape):
        return torch.randn(shape, generator=source).to(dtype)

    frames, rows, columns = GRID
    values = {
        "hidden_states": noise(1, 16, frames, 2 * rows, 2 * columns),
        "timestep": torch.tensor([500]),
        "encoder_hidden_states": noise(1, 16, 32),
    }
    if kind == "vace":
        values["control_hidden_states"] = noise(1, 96, frames, 2 * rows, 2 * columns)
        values["control_hidden_states_scale"] = torch.ones(2, dtype=dtype)
    return values


def predict(transformer, identity=None, kind="t2v", branch="cond", dtype=torch.float32):
    """One forward pass in one branch of guidance."""
    attention = None if identity is None else {"identity": identity}
    with torch.no_grad(), transformer.cache_context(branch):
        values = inputs(kind, dtype)
        return transformer(**values, attention_kwargs=attention, return_dict=False)[0]


def tokenizer():
    """A Unigram tokenizer of T5's kind over a few sentences."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import T5Tokenizer

    corpus = [
        "a woman and a man walk in the park",
        "the two characters talk at a table, the camera pans left",
        "bright tones, overexposed, static, blurred details, worst quality, low quality",
    ] * 4
    core = Tokenizer(models.Unigram())
    core.normalizer = normalizers.Sequence([normalizers.NFKC()])
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz0123456789.,'-"),
        show_progress=False,
    )
    core.train_from_iterator(corpus, trainer)
    vocabulary = json.loads(core.to_str())["model"]["vocab"]
    made = T5Tokenizer(vocab=[tuple(piece) for piece in vocabulary], extra_ids=0)
    made.model_max_length = 512
    return made


def parts(kind="vace"):
    """The components of a `WanPipeline` ("t2v") or `WanVACEPipeline` ("vace")."""
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    words = tokenizer()
    text = UMT5Config(
        vocab_size=256,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=32,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )
    return {
        "tokenizer": words,
        "text_encoder": UMT5EncoderModel(text).eval(),
        "vae": AutoencoderKLWan(
            base_dim=4,
            z_dim=16,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
        ).eval(),
        "transformer": vace_transformer() if kind == "vace" else t2v_transformer(),
        "scheduler": UniPCMultistepScheduler(
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            num_train_timesteps=1000,
            flow_shift=3.0,
        ),
    }


def save_loras(folder, *names):
    """Files with the same rank 2 change of one projection of the tiny transformers."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    source = torch.Generator().manual_seed(0)
    down, up = (torch.randn(shape, generator=source) for shape in ((2, 24), (24, 2)))
    query = "transformer.blocks.0.attn1.to_q.lora_{}.weight"
    for name in names:
        weights = {query.format("A"): down, query.format("B"): up}
        save_file(weights, folder / f"{name}.safetensors")


def adapter():
    """Random weights with open gates, for any of the tiny transformers."""
    from idvid.conditioning.wan_tokens import NUM_PATCHES, PATCH_FEATURES
    from idvid.models.face_backbone import FaceBackbone
    from idvid.models.identity_bank import MultiCharacterIdentityBank
    from idvid.models.identity_encoder import IdentityEncoder
    from idvid.models.wan_adapter import WanIdentityAdapter

    layers = identity_layers(id_dim=64)
    encoder = IdentityEncoder(
        face_vector=32,
        patch_features=PATCH_FEATURES,
        num_patches=NUM_PATCHES,
        width=64,
        num_tokens=4,
        depth=1,
    )
    return WanIdentityAdapter(
        identity_layers=layers,
        identity_encoder=encoder.eval(),
        identity_bank=MultiCharacterIdentityBank(width=64).eval(),
        backbone=FaceBackbone(widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1), vector=32).eval(),
    )
