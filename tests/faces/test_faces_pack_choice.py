"""Laws of choosing a judge: names, licences by bytes, the cache of the Hub, and who may not judge."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from hub_server import LoopbackHub
from tiny_packs import save_detector, save_pack, save_recogniser

from idvid.errors import HubError, ModelError
from idvid.faces.embed import load_judge
from idvid.faces.pack import InsightFacePack
from idvid.faces.pack_choice import (
    APACHE,
    KNOWN_PACKS,
    LICENCES,
    NON_COMMERCIAL,
    UNKNOWN,
    choose_judge,
    licence_of,
    load_pack,
    refuse_conditioner,
    strictest,
)
from idvid.faces.pack_files import open_pack
from idvid.models.export_onnx import export_backbone
from idvid.models.face_backbone import FaceBackbone

HASHES = {
    licence: [h for h, found in LICENCES.items() if found is licence]
    for licence in LICENCES.values()
}


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty cache of the Hub, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def snapshot(cache, repo, revision):
    """The folder of a snapshot in the Hub's cache, made."""
    folder = cache / f"models--{repo.replace('/', '--')}" / "snapshots" / revision
    folder.mkdir(parents=True)
    return folder


def backbone(seed=0):
    torch.manual_seed(seed)
    made = FaceBackbone(widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1)).eval()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return made


def test_the_bundled_judge_is_the_default_and_free():
    assert choose_judge() is load_judge()
    assert licence_of(load_judge()).is_commercial
    assert licence_of(load_judge()).notice == ""


@pytest.mark.parametrize("name", KNOWN_PACKS)
def test_a_known_pack_comes_from_its_pinned_snapshot(hub_cache, name):
    ref = KNOWN_PACKS[name].ref
    folder = snapshot(hub_cache, ref.repo, ref.revision)
    files = [folder / file for file in ref.files]
    files[-1].parent.mkdir(parents=True, exist_ok=True)
    save_recogniser(files[-1])
    if len(files) > 1:
        save_detector(files[0])
    pack = choose_judge(name)
    assert pack.name == name
    assert set(pack.file_hashes) == {file.name for file in files}
    assert licence_of(pack) is UNKNOWN  # other bytes under the same name


def test_auraface_takes_no_detector_from_its_repository(hub_cache):
    """The repository's own detector is insightface's non-commercial one."""
    ref = KNOWN_PACKS["auraface"].ref
    folder = snapshot(hub_cache, ref.repo, ref.revision)
    save_recogniser(folder / "glintr100.onnx")
    save_detector(folder / "scrfd_10g_bnkps.onnx")
    assert list(load_pack().file_hashes) == ["glintr100.onnx"]


def test_any_other_pack_of_the_hub_may_be_named(hub_cache):
    folder = snapshot(hub_cache, "who/faces", "0" * 40)
    save_pack(folder / "models" / "antelopev2")
    pack = choose_judge("who/faces@" + "0" * 40)
    assert pack.name == "who/faces@" + "0" * 40
    with pytest.raises(HubError, match=r"who/other is not on this machine.*\.$"):
        choose_judge("who/other")
    with pytest.raises(HubError, match="neither a folder here nor a model"):
        choose_judge("antelopev3")


def test_a_pack_is_fetched_from_the_hub_as_onnx_and_nothing_else(tmp_path):
    """In a process of its own: the Hub's client reads HF_ENDPOINT when it is imported."""
    model = save_pack(tmp_path / "hub" / "who" / "faces" / "models" / "antelopev2").parents[1]
    (model / "recognition.pth").write_bytes(b"\x80\x04pickle")
    code = "from idvid.faces.pack_choice import load_pack; p = load_pack('who/faces'); print(p.name, *p.file_hashes)"
    home = tmp_path / "home"
    with LoopbackHub(tmp_path / "hub") as hub:
        env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": ""}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["who/faces", "det.onnx", "rec.onnx"]
    assert [p.suffix for p in home.rglob("snapshots/**/*") if p.is_file()] == [".onnx", ".onnx"]


def test_a_folder_is_named_after_the_folder_that_holds_the_files(tmp_path):
    save_pack(tmp_path / "download" / "mine")
    pack = choose_judge(str(tmp_path / "download"))
    assert pack.name == "mine"
    assert licence_of(pack).notice.startswith("idvid does not know these face weights")


def test_the_strictest_licence_of_the_bytes_wins():
    free, bound = HASHES[APACHE][0], HASHES[NON_COMMERCIAL][0]
    assert strictest({"glintr100.onnx": free}) is APACHE
    assert strictest({"glintr100.onnx": free, "scrfd.onnx": bound}) is NON_COMMERCIAL
    assert strictest({"glintr100.onnx": free, "mine.onnx": "0" * 64}) is UNKNOWN
    assert strictest({"mine.onnx": "0" * 64, "scrfd.onnx": bound}) is NON_COMMERCIAL
    assert "non-commercial" in NON_COMMERCIAL.notice
    assert APACHE.notice == ""


def test_our_exported_conditioner_is_refused_as_a_judge(tmp_path):
    save_detector(tmp_path / "det.onnx")
    export_backbone(backbone(), tmp_path / "rec.onnx")
    with pytest.raises(ModelError, match="conditions the video, so it cannot judge"):
        choose_judge(str(tmp_path))


def test_a_copy_without_its_mark_is_still_found(tmp_path):
    """Whatever its name, format or metadata, the conditioner answers as the conditioner does."""
    import onnx

    save_detector(tmp_path / "det.onnx")
    export_backbone(backbone(), tmp_path / "rec.onnx")
    stripped = onnx.load(str(tmp_path / "rec.onnx"))
    del stripped.metadata_props[:]
    onnx.save(stripped, str(tmp_path / "rec.onnx"))
    pack = choose_judge(str(tmp_path))
    with pytest.raises(ModelError, match="conditions the video, so it cannot judge"):
        refuse_conditioner(pack, backbone())
    refuse_conditioner(pack, backbone(seed=1))
    refuse_conditioner(load_judge(), backbone())


def test_a_pack_judges_where_another_network_conditions(tmp_path):
    pack = InsightFacePack(open_pack(save_pack(tmp_path / "a")), "a")
    shutil.rmtree(tmp_path / "a")  # everything is in memory by now
    refuse_conditioner(pack, backbone())
    narrow = FaceBackbone(widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1), vector=32).eval()
    refuse_conditioner(pack, narrow)
