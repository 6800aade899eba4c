"""Laws of a download that goes well: what is fetched, what is asked, what is said."""

from pathlib import Path

import pytest
from hub_models import SMALL, WANTED, WEIGHTS, assert_same, fetched, publish, weights_fault
from hub_server import Fault

from idvid.errors import HubError, ModelError
from idvid.hub import CATALOGUE, ModelRef, card_of, local_path, parse_ref


def test_only_safe_files_are_fetched_each_once(hub, client, model):
    answer = client.ask(model)
    assert answer["files"] == WANTED
    assert_same(answer, hub, model)
    contents = [r for r in fetched(hub) if "/storage/" in r or not r.endswith("safetensors")]
    assert len(contents) == len(WANTED)


def test_a_complete_snapshot_asks_the_network_nothing(hub, client, new_client, model):
    pinned = client.ask(model, "look_up")["facts"]["commit"]
    client.ask(model, revision=pinned)
    client.ask(model)
    hub.forget()
    for process in (client, new_client(home=client.home, HF_HUB_OFFLINE="1")):
        for question in ({"revision": pinned}, {}):
            assert process.ask(model, "local_path", **question)["files"] == WANTED
    assert client.ask(model, "local_path", offline=True)["files"] == WANTED
    assert hub.asked == []


def test_a_branch_in_the_cache_is_not_looked_up_again(hub, client, model):
    first = client.ask(model)
    publish(hub, model, {"model_index.json": b"newer"})
    assert client.ask(model)["folder"] == first["folder"]


def test_a_commit_gives_what_it_gave_though_main_moves_on(hub, client, model):
    publish(hub, f"{model}@v1", {**SMALL, "model_index.json": b"as it was"})
    commit = client.ask(model, "look_up", revision="v1")["facts"]["commit"]
    pinned, main = client.ask(model, revision=commit), client.ask(model)
    assert pinned["folder"].endswith(commit)
    assert pinned["files"]["model_index.json"] == len(b"as it was")
    assert main["files"] == WANTED
    weights = [r for r in fetched(hub) if r.startswith("GET /storage/")]
    assert len(weights) == 1  # the same content under both commits


def test_progress_counts_true_bytes_of_named_files(hub, client, model):
    hub.faults.append(weights_fault(bytes_per_s=200_000))
    events = client.ask(model, "local_path")["events"]
    done = [event["bytes_done"] for event in events]
    assert done == sorted(done)
    assert len(set(done)) > 3
    last = events[-1]
    assert last["bytes_done"] == last["bytes_total"] == sum(WANTED.values())
    assert (last["files_done"], last["files_total"]) == (len(WANTED), len(WANTED))
    assert {event["file_name"] for event in events} <= {"", *WANTED}
    assert events[len(events) // 2]["file_name"] == WEIGHTS


def test_named_files_only(hub, client, model):
    answer = client.ask(model, files=["vae/*.json", WEIGHTS])
    assert list(answer["files"]) == [WEIGHTS]
    error = client.ask(model, files=[WEIGHTS, "glintr100.onnx"])["error"]
    assert f"{model} holds no file glintr100.onnx at revision 'main'" in error


def test_what_is_missing_is_fetched_and_nothing_else(hub, client, model):
    first = client.ask(model)
    (Path(first["folder"]) / "tokenizer/vocab.txt").resolve().unlink()
    (Path(first["folder"]) / WEIGHTS).unlink()  # as if killed before the last step
    hub.forget()
    again = client.ask(model)
    assert again["files"] == WANTED
    assert [r.rpartition("/")[2] for r in fetched(hub)] == ["vocab.txt"]


def test_licence_and_size_are_known_before_the_download(hub, client, model):
    total = sum(WANTED.values())
    before = client.ask(model, "look_up")["facts"]
    assert before["licence"] == "apache-2.0"
    assert before["total_bytes"] == before["missing_bytes"] == total
    assert fetched(hub) == []
    client.ask(model, files=[WEIGHTS])
    assert client.ask(model, "look_up")["facts"]["missing_bytes"] == total - WANTED[WEIGHTS]
    client.ask(model)
    hub.forget()
    after = client.ask(model, "look_up")["facts"]
    assert (after["commit"], after["missing_bytes"]) == (before["commit"], 0)
    assert hub.asked == []


def test_the_hub_librarys_own_download_and_ours_share_one_cache(hub, client, new_client, model):
    ours = client.ask(model)
    hub.forget()
    stock = client.ask(model, "stock")
    assert stock["folder"] == ours["folder"]
    assert fetched(hub) == []
    other = new_client()
    theirs = other.ask(model, "stock")
    assert theirs["files"] == WANTED
    hub.forget()
    assert other.ask(model)["folder"] == theirs["folder"]
    assert hub.asked == []


def test_a_snapshot_of_older_tools_serves_while_nobody_can_be_asked(
    hub, new_client, model, tmp_path
):
    folder = new_client().ask(model)["folder"]
    for listing in (tmp_path / "home").rglob("trees/*.json"):
        listing.unlink()
    hub.faults.append(Fault(where="*", status=503))
    process = new_client()
    assert process.ask(model)["folder"] == folder
    assert process.ask(model, "local_path", offline=True)["folder"] == folder


@pytest.mark.parametrize(
    "text",
    ["", "no-owner", "a/b/c", "../x/y", "/nowhere/at/all", "a/b@", "a b/c", "a/b@../../refs"],
)
def test_what_names_no_model_is_refused_without_asking_anybody(text):
    with pytest.raises(HubError, match=r"neither a folder here nor a model"):
        local_path(text)


def test_a_folder_is_itself(tmp_path):
    assert local_path(tmp_path) == local_path(str(tmp_path)) == tmp_path


def test_a_reference_reads_back():
    assert parse_ref("who/mini") == ModelRef(repo="who/mini")
    assert parse_ref("who/mini@refs/pr/1").revision == "refs/pr/1"


@pytest.mark.parametrize(
    "pattern", ["*.bin", "*", "*.py", "*.pkl", "model.safetensors*", "*.model"]
)
def test_a_pattern_that_could_fetch_code_is_our_bug(pattern):
    with pytest.raises(AssertionError):
        ModelRef(repo="who/mini", files=(pattern,))


def test_the_catalogue_states_what_a_user_must_know():
    assert len({card.key for card in CATALOGUE}) == len(CATALOGUE)
    for card in CATALOGUE:
        assert parse_ref(card.ref.repo).repo == card.ref.repo
        assert card.licence
        assert card.summary.endswith(".")
        assert card_of(card.key) is card
    faces = [card for card in CATALOGUE if card.kind == "faces"]
    assert all(card.ref.wants("glintr100.onnx") for card in faces)
    assert not any(card.ref.wants("scrfd_10g_bnkps.onnx") for card in faces)  # non-commercial
    with pytest.raises(ModelError, match=r"choose one of vace-1\.3b, "):
        card_of("sora")
