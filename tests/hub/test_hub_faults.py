"""Whatever the Hub does wrong ends in one sentence, keeps the cache usable, and does not last."""

import resource
import socket
from dataclasses import replace
from email.utils import formatdate

import pytest
from hub_models import (
    SMALL,
    WANTED,
    WEIGHTS,
    assert_same,
    fetched,
    publish,
    storage_bytes,
    weights_fault,
)
from hub_server import Fault

LIMIT = (("Retry-After", "90"),)
NAMED_LIMIT = (
    ("ratelimit", '"resolvers";r=0;t=77'),
    ("ratelimit-policy", '"fixed window";q=5;w=300'),
)
PART = 100_000  # bytes, less than the weights have
FAULTS = {
    "rate limit while asking": (
        Fault(where="GET /api/*", status=429, headers=LIMIT), "limits our rate (429)", "wait 90 s"
    ),
    "rate limit while fetching": (
        weights_fault(status=429, headers=NAMED_LIMIT), "limits our rate (429)", "wait 77 seconds"
    ),
    "broken while asking": (Fault(where="GET /api/*", status=503), "answered 503", "try again"),
    "broken while fetching": (weights_fault(status=500), "answered 500", WEIGHTS),
    "no such method": (Fault(where="*", status=501), "answered 501", "try again"),
    "token refused": (Fault(where="*", status=403), "does not let us read", "set HF_TOKEN"),
    "listed but gone": (weights_fault(status=404), "does not have it (404)", WEIGHTS),
    "silent while asking": (Fault(where="GET /api/*", stall_at=0), "too slowly", "try again"),
    "silent in mid-file": (weights_fault(stall_at=PART), "too slowly", "is kept"),
    "trickling": (weights_fault(bytes_per_s=200), "too slowly", WEIGHTS),
    "cut off at once": (weights_fault(cut_at=0), "broke off", WEIGHTS),
    "cut off again and again": (weights_fault(cut_at=10), "broke off", "go on from there"),
    "wrong bytes of the right length": (weights_fault(is_damaged=True), "arrived damaged", WEIGHTS),
    "wrong settings of the right length": (
        Fault(where="GET *.json", is_damaged=True), "arrived damaged", "model_index.json"
    ),
    "an answer that is no listing": (Fault(where="GET /api/*", status=200), "understand", "later"),
}  # fmt: skip


def assert_one_sentence(message, client, hub):
    assert message.endswith(".")
    assert "\n" not in message
    for secret in (str(client.home), hub.url, hub.storage_url, "127.0.0.1", "Error", "http"):
        assert secret not in message


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_in_a_sentence_and_the_next_try_works(hub, client, model, name):
    fault, *words = FAULTS[name]
    hub.faults.append(fault)
    answer = client.ask(model, patience={"stall_s": 0.4} if "too slowly" in words else {})
    for word in words:
        assert word in answer["error"]
    assert_one_sentence(answer["error"], client, hub)
    assert len(hub.asked) <= 20  # tries are bounded

    hub.faults.clear()
    assert "not on this machine" in client.ask(model, "local_path", offline=True)["error"]
    healed = client.ask(model)
    assert healed["files"] == WANTED
    assert_same(healed, hub, model)
    assert client.partials(model) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(where="*", times=2, status=503),
        Fault(where="GET /api/*", times=1, status=429, headers=(("Retry-After", "1"),)),
        Fault(where="GET /api/*", times=1, cut_at=5),
        weights_fault(times=1, status=429, headers=(("Retry-After", formatdate(0, usegmt=True)),)),
        weights_fault(times=2, cut_at=PART),
        weights_fault(times=1, short_by=PART),
        weights_fault(times=1, stall_at=PART),
        weights_fault(times=1, is_damaged=True),
    ],
    ids=lambda fault: f"{fault.status}-{fault.cut_at}-{fault.stall_at}-{fault.is_damaged}",
)
def test_what_passes_is_sat_out(hub, client, model, fault):
    hub.faults.append(
        replace(fault, where=fault.where.replace("/storage/*", f"/storage/{model}/*"))
    )
    answer = client.ask(model, patience={"stall_s": 1.0} if fault.stall_at >= 0 else {})
    assert answer["files"] == WANTED
    assert_same(answer, hub, model)
    if not fault.is_damaged:
        assert storage_bytes(hub, model) == WANTED[WEIGHTS]  # nothing twice


def test_a_wait_that_the_hub_asks_for_is_kept_and_told(hub, client, model):
    hub.faults.append(
        weights_fault(model, times=1, status=429, headers=(("Retry-After", "1"),)),
    )
    answer = client.ask(model)
    assert answer["files"] == WANTED
    assert answer["seconds"] >= 1
    notes = {event["note"] for event in answer["events"]}
    assert notes == {"", "The Hub is busy or slow; we try again in 1 seconds."}


def test_a_wait_beyond_patience_is_not_begun(hub, client, model):
    hub.faults.append(Fault(where="GET /api/*", status=429, headers=LIMIT))
    assert "wait 90 seconds" in client.ask(model)["error"]
    assert len(hub.asked) == 1


def test_a_storage_that_knows_no_ranges_costs_bytes_but_no_file(hub, client, model):
    hub.faults += [
        weights_fault(model, times=1, cut_at=PART),
        weights_fault(model, times=1, ignores_range=True),
    ]
    assert_same(client.ask(model), hub, model)
    assert storage_bytes(hub, model) == PART + WANTED[WEIGHTS]


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"repo": "missing/model"}, "has no model missing/model, or it is private"),
        ({"repo": "bad..name/x--y"}, "is no name of a model"),
        ({"revision": "nowhere"}, "has no revision 'nowhere'"),
        ({"files": ["*.onnx"]}, "holds no file of the kinds"),
    ],
)
def test_what_the_hub_does_not_have(hub, client, model, question, words):
    answer = client.ask(**{"repo": model, **question})
    assert words in answer["error"]
    assert_one_sentence(answer["error"], client, hub)


def test_a_gated_model_says_what_to_do_and_opens_with_a_token(hub, client, new_client, model):
    hub.gated.add(model)
    assert client.ask(model, "look_up")["facts"]["is_gated"]
    error = client.ask(model)["error"]
    assert "is gated: accept its terms" in error
    assert_one_sentence(error, client, hub)
    assert new_client(HF_TOKEN="hf_secret").ask(model)["files"] == WANTED
    assert hub.tokens_seen == {""}  # the storage is another origin: no token goes there


def test_a_renamed_model_is_followed_only_where_a_commit_pins_it(hub, client, model):
    hub.renamed["old/name"] = model
    error = client.ask("old/name")["error"]
    assert f"old/name is now called {model}" in error
    commit = client.ask(model, "look_up")["facts"]["commit"]
    answer = client.ask("old/name", revision=commit)
    assert answer["files"] == WANTED
    assert f"old/name is now called {model}" in answer["events"][-1]["note"]
    hub.forget()
    assert client.ask("old/name", revision=commit)["files"] == WANTED
    assert hub.asked == []


def test_a_model_that_does_not_fit_the_disk_is_refused_before_the_first_byte(hub, client, model):
    hub.claimed_bytes[f"{model}/{WEIGHTS}"] = 10**17
    error = client.ask(model)["error"]
    assert f"{model} needs 100000.0 TB more on the disk and " in error
    assert " are free; free some space" in error
    assert fetched(hub) == []
    assert_one_sentence(error, client, hub)


def test_a_disk_that_fills_up_keeps_what_arrived(hub, new_client, model):
    process = new_client()
    resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (PART, resource.RLIM_INFINITY))
    error = process.ask(model)["error"]
    assert "The disk is full" in error
    assert_one_sentence(error, process, hub)
    assert max(p.stat().st_size for p in process.partials()) == PART
    hub.forget()
    assert_same(new_client().ask(model), hub, model)
    assert storage_bytes(hub, model) == WANTED[WEIGHTS] - PART


def test_a_cache_that_cannot_be_written_is_named_by_its_setting(hub, new_client, model, tmp_path):
    (tmp_path / "file").write_text("no folder")
    process = new_client(home=tmp_path / "file" / "home")
    error = process.ask(model)["error"]
    assert "set HF_HOME to a folder that you may write to" in error
    assert_one_sentence(error, process, hub)


def test_without_a_network_the_cache_serves_and_the_rest_is_explained(
    hub, client, new_client, model
):
    client.ask(model)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        alone = new_client(url=f"http://127.0.0.1:{closed.getsockname()[1]}", home=client.home)
        assert alone.ask(model)["files"] == WANTED
        error = alone.ask("who/other")["error"]
    assert "could not be reached to fetch who/other" in error
    offline = new_client(home=client.home, HF_HUB_OFFLINE="1").ask("who/other")["error"]
    assert "who/other is not on this machine and the network is off" in offline


def test_a_file_name_that_leaves_the_folder_is_refused(hub, client, model):
    publish(hub, model, {"a\\..\\..\\evil.json": b"{}"})
    assert "unsafe name" in client.ask(model)["error"]
    assert fetched(hub) == []


def test_a_listing_that_trickles_in_is_not_waited_for(hub, client, model):
    hub.faults.append(Fault(where="GET /api/*", bytes_per_s=20))  # a minute and more
    answer = client.ask(model, patience={"answer_s": 0.5})
    assert "too slowly" in answer["error"]
    assert answer["seconds"] < 20
    assert "too slowly" in client.ask(model, "look_up", patience={"answer_s": 0.5})["error"]


def test_tries_are_counted_anew_while_there_is_progress(hub, client):
    big = publish(hub, "who/big", {**SMALL, WEIGHTS: bytes(6 << 20)})
    hub.faults.append(weights_fault(times=5, cut_at=(1 << 20) + (1 << 16)))
    assert_same(client.ask(big), hub, big)
    assert storage_bytes(hub, big) == 6 << 20
