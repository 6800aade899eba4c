"""The API from another process: upload, stream, check, cancel."""

import time
from pathlib import Path

import av
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

FEW_STEPS = {"num_steps": 2, "model": "bundled"}
RESULT_LIMIT_S = 120


@pytest.fixture(scope="module")
def client(rendered_server, tmp_path_factory):
    return Client(
        rendered_server.url, verbose=False, download_files=tmp_path_factory.mktemp("downloads")
    )


@pytest.fixture(scope="module")
def cast(photos):
    return [
        {"name": name, "photos": [handle_file(str(file)) for file in files]}
        for name, files in photos.items()
    ]


def submit(client, cast, seconds, **more):
    first, second = (character["name"] for character in cast)
    return client.submit(
        prompt=f"@{first} talks to @{second}",
        characters=cast,
        seconds=seconds,
        api_name="/generate",
        **more,
    )


@pytest.fixture(scope="module")
def events(client, cast):
    job = submit(client, cast, 1, seed=5, methods=["none", "locks"], settings=FEW_STEPS)
    assert job.result(timeout=RESULT_LIMIT_S)["stage"] == "end"
    return job.outputs()


def test_four_functions_are_public_and_nothing_else(client):
    endpoints = client.view_api(return_format="dict")
    names = ["/check_references", "/describe_model", "/generate", "/load_model"]
    assert sorted(endpoints["named_endpoints"]) == names
    assert not endpoints["unnamed_endpoints"]


def test_the_stages_come_in_order(events):
    stages = [event["stage"] for event in events]
    assert stages[-1] == "end"  # gradio_client may repeat the last event
    assert [stage for stage in stages if stage not in ("wait", "step", "end")] == [
        "references",
        *["chunk", "similarity"] * 4,
        "done",
        "done",
    ]
    steps = [(event["done"], event["total"]) for event in events if event["stage"] == "step"]
    assert steps == [(done, 8) for done in range(1, 9)]


def test_chunks_play_as_one_stream(events, tmp_path):
    joined = tmp_path / "joined.ts"
    chunks = [event["chunk"] for event in events if event["chunk"] and event["method"] == "locks"]
    joined.write_bytes(b"".join(Path(chunk).read_bytes() for chunk in chunks))
    with av.open(joined) as video:
        assert sum(1 for _ in video.decode(video=0)) == 12


def test_the_last_event_of_a_method_has_video_and_report(events):
    done = [event for event in events if event["stage"] == "done"]
    assert [event["method"] for event in done] == ["none", "locks"]
    for event in done:
        with av.open(event["video"]) as video:
            stream = video.streams.video[0]
            assert (stream.codec_context.name, stream.frames) == ("h264", 12)
        assert {"fps", "frames", "judge", "occm", "characters"} <= set(event["report"])


def test_similarity_points_cover_the_report(events, cast):
    report = next(event["report"] for event in events if event["stage"] == "done")
    for character in report["characters"]:
        points = [
            point
            for event in events
            if event["stage"] == "similarity" and event["method"] == "none"
            for point in event["similarity"][character["name"]]
        ]
        assert [time for time, _ in points] == [time for time, _ in character["series"]]
        assert len(points) == 12


def test_good_photos_have_no_findings_that_refuse(client, cast):
    found = client.predict(characters=cast, api_name="/check_references")["findings"]
    assert all(set(finding) == {"name", "message"} for finding in found)


def test_a_model_is_described_before_it_is_loaded(client):
    said = client.predict(model="bundled", api_name="/describe_model")
    assert (said["name"], said["licence"], said["missing_bytes"]) == ("idvid-mini", "Apache-2.0", 0)
    assert said["fits"]
    assert "Limits" in said["facts"]
    job = client.submit(model="bundled", api_name="/load_model")
    assert job.result(timeout=RESULT_LIMIT_S)["stage"] == "ready"


@pytest.mark.parametrize("api_name", ["/describe_model", "/load_model"])
def test_a_folder_of_the_server_is_no_model_for_strangers(client, api_name):
    with pytest.raises(AppError, match="folders are the server's own business"):
        client.submit(model="/etc", api_name=api_name).result(timeout=RESULT_LIMIT_S)


def test_events_arrive_while_the_video_is_made(client, cast):
    job = submit(client, cast, 30, settings={"num_steps": 10})  # many seconds
    wait_until(lambda: any(event["chunk"] for event in job.outputs()))
    assert not job.done()
    assert job.cancel()


def test_cancel_frees_the_place_in_the_queue(client, cast):
    job = submit(client, cast, 30, settings={"num_steps": 100})  # a minute and more
    wait_until(lambda: any(event["stage"] == "step" for event in job.outputs()))
    assert job.cancel()
    following = submit(client, cast, 1, settings=FEW_STEPS)
    assert following.result(timeout=50)["stage"] == "end"


def wait_until(condition) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < RESULT_LIMIT_S
        time.sleep(0.1)
