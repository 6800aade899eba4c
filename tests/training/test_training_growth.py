"""Laws of growth: a larger part computes what the smaller one did, and its copies learn apart."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import idvid
from idvid.conditioning.text import slot_ids
from idvid.models.checkpoint import PART_CLASSES, load_part, save_part
from idvid.models.layers import HEAD_WIDTH
from idvid.models.video_transformer import PATCH
from idvid.training.cache import load_frozen
from idvid.training.flow import predictor
from idvid.training.growth import can_grow
from idvid.training.objective import velocity_loss
from idvid.training.optimisers import build_optimisers
from idvid.training.presets import PRESETS
from idvid.training.stage import sizes_of, start_part, write_parts
from idvid.training.video_batch import VideoBatch
from idvid.training.video_stage import VideoSources, _parts
from idvid.training.vocabulary import obtain_tokenizer

SHIPPED = Path(idvid.__file__).parent / "weights" / "mini"
CHANNELS = 12


@pytest.fixture(scope="module")
def shipped():
    tokenizer = obtain_tokenizer(SHIPPED / "tokenizer")
    return VideoSources(
        shards=SHIPPED,
        derivative="none",
        frozen=load_frozen(SHIPPED),
        tokenizer=tokenizer,
        starts=(SHIPPED,),
    )


@pytest.fixture(scope="module")
def trained(shipped, tmp_path_factory):
    """A folder with the four parts in small, every weight and gate away from zero, and their sizes."""
    folder = tmp_path_factory.mktemp("growth")
    small = with_sizes("cpu", width=64, depth=2, text_depth=1)
    parts = parts_of(small, replace(shipped, starts=()))
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in parts.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise))
    write_parts(folder, **dict(parts.items()))
    return folder, small


def with_sizes(preset, **sizes):
    settings = PRESETS[preset]
    return replace(settings, video=replace(settings.video, **sizes))


def parts_of(settings, sources):
    torch.manual_seed(0)
    return torch.nn.ModuleDict(
        {name: part for name, (part, _) in _parts(settings, sources).items()}
    )


def batch_of(tokenizer, frames=3, people=2, side=4):
    """Two people with photos in a small clip; the second row's second person has none."""
    noise = torch.Generator().manual_seed(2)

    def normal(*shape):
        return torch.randn(2, *shape, generator=noise)

    names, words = slot_ids(tokenizer), len(tokenizer)
    ids = torch.randint(10, words, (2, 12), generator=noise)
    ids[:, 0], ids[:, 5] = names[0], names[1]
    has = torch.ones(2, people, 2, dtype=torch.bool)
    has[1, 1] = False
    return VideoBatch(
        latents=normal(frames, CHANNELS, side * PATCH, side * PATCH),
        anchors=normal(frames, CHANNELS + 1, side * PATCH, side * PATCH).sigmoid(),
        time_s=torch.arange(frames).expand(2, -1) / 12,
        ids=ids,
        landmarks=0.5 + 0.1 * normal(people, frames, 5, 2),
        expression=normal(people, frames, 9),
        is_visible=torch.ones(2, people, frames, dtype=torch.bool),
        slots=torch.tensor([[0, 1], [0, 1]]),
        names=names[torch.tensor([[0, 1], [0, 1]])],
        vectors=torch.nn.functional.normalize(normal(people, 2, 512), dim=-1),
        patches=normal(people, 2, 25, CHANNELS * 4),
        has_reference=has,
        is_given=torch.tensor([True, True]),
    )


def predicted(parts, batch):
    level = torch.tensor([[0.2, 0.5, 1.0], [0.6, 0.6, 0.6]])[:, : batch.latents.shape[1]]
    return predictor(parts, batch)(batch.latents, level), level


@pytest.mark.parametrize(
    "sizes",
    [
        {"width": 128, "depth": 2, "text_depth": 1},
        {"width": 64, "depth": 5, "text_depth": 2},
        {"width": 192, "depth": 3, "text_depth": 2},
    ],
    ids=["wider", "deeper", "both"],
)
def test_a_grown_model_predicts_what_the_small_one_does(trained, shipped, sizes):
    folder, small = trained
    sources, batch = replace(shipped, starts=(folder,)), batch_of(shipped.tokenizer)
    large = with_sizes("cpu", **sizes)
    assert not any(is_fresh for _, is_fresh in _parts(large, sources).values())
    with torch.no_grad():
        before = predicted(parts_of(small, sources), batch)[0]
        after = predicted(parts_of(large, sources), batch)[0]
        fresh = predicted(parts_of(large, replace(shipped, starts=())), batch)[0]
    assert (before - fresh).abs().max() > 0.1
    assert torch.allclose(after, before, atol=1e-4, rtol=0)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_go_on_from_the_shipped_weights(shipped, preset):
    parts = _parts(PRESETS[preset], shipped)
    assert not any(is_fresh for _, is_fresh in parts.values())
    own = {name: sizes_of(load_part(name, SHIPPED / name)) for name in parts}
    assert {name: sizes_of(part) for name, (part, _) in parts.items()} == own


def test_larger_sizes_start_from_the_shipped_weights(shipped):
    batch = batch_of(shipped.tokenizer, frames=2)
    own = with_sizes("cpu", **read_sizes())
    large = with_sizes("h200", width=384, depth=12, text_depth=own.video.text_depth)
    parts = _parts(large, shipped)
    assert parts["transformer"][0].config["width"] == 384 > own.video.width
    assert parts["transformer"][0].config["depth"] == 12 > own.video.depth
    assert not any(is_fresh for _, is_fresh in parts.values())
    grown = torch.nn.ModuleDict({name: part for name, (part, _) in parts.items()})
    with torch.no_grad():
        before, after = (predicted(p, batch)[0] for p in (parts_of(own, shipped), grown))
    assert torch.allclose(after, before, atol=1e-3, rtol=0)


def read_sizes():
    transformer = PART_CLASSES["transformer"].load_config(SHIPPED / "transformer")
    text = PART_CLASSES["prompt_encoder"].load_config(SHIPPED / "prompt_encoder")
    sizes = {name: transformer[name] for name in ("width", "depth")}
    return sizes | {"text_depth": text["depth"]}


def test_copies_learn_apart_and_new_blocks_learn(trained, shipped):
    large = with_sizes("cpu", width=128, depth=4, text_depth=2)
    model = parts_of(large, replace(shipped, starts=(trained[0],)))
    blocks, batch = model["transformer"].blocks, batch_of(shipped.tokenizer)
    copied = {  # (features, ...): a group, then its copy
        "patch_in": model["transformer"].patch_in.weight,
        "spatial": blocks[0].attention.spatial.to_out.bias[:, None],
        "words": model["prompt_encoder"].embedding.weight.T,
        "bank": model["identity_encoder"].identity_bank.T,
    }

    def differences():
        halves = {n: t.detach().unflatten(0, (-1, 2, HEAD_WIDTH)) for n, t in copied.items()}
        return {n: float((t[:, 0] - t[:, 1]).abs().max()) for n, t in halves.items()}

    assert set(differences().values()) == {0.0}
    ends = [p for name, p in blocks[1].named_parameters() if ".to_out." in name]
    assert len(ends) == 10
    assert not any(end.any() for end in ends)
    settings = replace(large.video.optimiser, muon=False)
    optimisers = build_optimisers(model, settings)
    clean, level = predicted(model, batch)
    velocity_loss(clean, batch.latents.flip(0), level).backward()
    for optimiser in optimisers:
        optimiser.step()
    assert min(differences().values()) > 0
    assert all(end.any() for end in ends)


@pytest.mark.parametrize(
    ("config", "grows"),
    [
        ({"width": 128}, True),
        ({"width": 128, "vocabulary_size": 30}, True),
        ({"width": 64, "depth": 3}, True),
        ({"width": 96}, False),
        ({"width": 32}, False),
        ({"depth": 1}, False),
        ({"vocabulary_size": 10}, False),
        ({"max_length": 192}, False),
    ],
)
def test_only_multiples_of_the_width_and_more_of_the_rest_can_be_grown(tmp_path, config, grows):
    old = {"vocabulary_size": 20, "width": 64, "depth": 2, "max_length": 96}
    assert can_grow(old, old | config) == grows
    save_part(PART_CLASSES["prompt_encoder"].from_config(old), tmp_path / "prompt_encoder")
    if config.get("width", 64) % HEAD_WIDTH:
        return
    part, is_fresh = start_part("prompt_encoder", old | config, (tmp_path,))
    assert is_fresh != grows
    assert part.training
    assert {name: part.config[name] for name in old} == old | config


def test_a_planner_grows_too_and_keeps_its_words(tmp_path):
    old = {"vocabulary_size": 20, "width": 64}
    trained = PART_CLASSES["planner_prompt_encoder"].from_config(old)
    save_part(trained, tmp_path / "planner_prompt_encoder")
    wanted = {"vocabulary_size": 24, "width": 128}
    part, is_fresh = start_part("planner_prompt_encoder", wanted, (tmp_path,))
    ids = torch.randint(1, 20, (2, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = trained.half().float()(ids)[0], part(ids)[0]
    assert not is_fresh
    assert torch.allclose(after[..., :64], before, atol=1e-4)
    assert torch.allclose(after[..., 64:], before, atol=1e-4)
    state = {"width": 64, "text_width": 64, "depth": 1}
    planner = PART_CLASSES["planner"].from_config(state)
    save_part(planner, tmp_path / "planner")
    larger = {"width": 128, "text_width": 128, "depth": 2}
    assert not start_part("planner", larger, (tmp_path,))[1]
