"""A download that somebody ends in the middle, kindly or not, goes on where it was."""

import os
import signal
import time

import pytest
from hub_models import SMALL, WEIGHTS, assert_same, fetched, publish, storage_bytes, weights_fault

SIZE = 4_000_000
HALF = SIZE // 2


@pytest.fixture
def large(hub, model):
    """A model whose weights take two seconds to send."""
    publish(hub, model, {**SMALL, WEIGHTS: bytes(range(250)) * (SIZE // 250)})
    hub.faults.append(weights_fault(bytes_per_s=2_000_000))
    return model


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def partial_bytes(client, repo=""):
    return sum(path.stat().st_size for path in client.partials(repo))


def test_a_killed_process_loses_nothing_that_arrived(hub, new_client, large):
    killed = new_client()
    killed.start(large)
    wait_for(lambda: partial_bytes(killed) > HALF)
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    wait_for(lambda: _is_still(hub, large))
    kept = partial_bytes(killed)
    assert HALF < kept < SIZE

    hub.forget()
    after = new_client()
    offline = after.ask(large, "local_path", offline=True)
    assert "is not on this machine" in offline["error"]
    facts = after.ask(large, "look_up")["facts"]
    assert facts["missing_bytes"] == SIZE - kept
    answer = after.ask(large)
    assert_same(answer, hub, large)
    assert storage_bytes(hub, large) == SIZE - kept
    assert len(fetched(hub)) == 2  # the rest of the weights, by way of its redirect
    assert answer["events"][-1]["bytes_done"] == answer["events"][-1]["bytes_total"]
    assert after.partials() == []


def test_a_cancelled_download_ends_at_once_and_goes_on_later(hub, client, large):
    started = time.monotonic()
    cancelled = client.ask(large, cancel_at=HALF)
    assert cancelled["files"] == {}
    assert time.monotonic() - started < 1.9  # the whole takes two seconds
    wait_for(lambda: _is_still(hub, large))
    kept = partial_bytes(client, large)
    assert HALF <= kept < SIZE
    hub.forget()
    assert_same(client.ask(large), hub, large)
    assert storage_bytes(hub, large) == SIZE - kept


def _is_still(hub, repo):
    before = storage_bytes(hub, repo)
    time.sleep(0.15)
    return storage_bytes(hub, repo) == before


def test_a_silent_hub_can_be_cancelled_too(hub, client, model):
    hub.faults.append(weights_fault(stall_at=1000))
    patience = {"stall_s": 3.0}
    answer = client.ask(model, cancel_at=1000, patience=patience)
    assert answer["seconds"] < 1.5


def test_two_processes_fetch_a_model_once(hub, new_client, large):
    first, second = new_client(), new_client()
    first.start(large)
    second.start(large)
    for process in (first, second):
        assert_same(process.answer(), hub, large)
    assert storage_bytes(hub, large) == SIZE
    assert first.partials() == []


def test_what_another_program_broke_in_a_partial_file_is_noticed(hub, client, model):
    hub.faults.append(weights_fault(cut_at=1000))
    client.ask(model)
    partial = max(client.partials(model), key=lambda p: p.stat().st_size)
    partial.write_bytes(b"\0" * partial.stat().st_size)
    hub.forget()
    assert_same(client.ask(model), hub, model)
