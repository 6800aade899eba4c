"""Everything wrong that one can send: a clear sentence, no traceback, no path, and it serves on."""

import json
import re
import urllib.error
import urllib.request

import pytest
from bad_pictures import BAD_FILES, NO_FACE, ODD_FORMATS, six_faces
from bad_requests import BAD_OPTIONS, BAD_REQUESTS, RAW_BODIES, bad_casts, photo, photos_named
from PIL import Image
from raw_api import call, upload

from idvid.ui import text

LEAKS = re.compile(
    r"Traceback|File \"|site-packages|/tmp|/etc|/home|/root|/usr|/work|\.py\b|\\\\|<script|pydantic"
    r"|Error:|Exception|object at 0x|NoneType|127\.0\.0\.1|169\.254"
)


@pytest.fixture(scope="module")
def good(photos, rendered_server):
    """Uploads of one photo for each of two people."""
    first, second = (files[0] for files in photos.values())
    return tuple(upload(rendered_server, f.name, f.read_bytes()) for f in (first, second))


def good_request(good) -> dict[str, object]:
    """What `/generate` takes, in its order."""
    return {
        "prompt": "@Ana talks to @Ben",
        "characters": photos_named(*good, "Ana", "Ben"),
        "seconds": 1,
        "seed": 0,
        "methods": ["locks"],
        "settings": {"num_steps": 1},
    }


def body(arguments: list[object]) -> bytes:
    return json.dumps({"data": arguments}).encode()


def refusal(server, api_name: str, arguments: list[object]) -> str:
    """The sentence with which a call is refused; fails if it is not refused, or not politely."""
    event, data = call(server, api_name, body(arguments))
    assert event == "error", data
    message = json.loads(data)["error"]
    assert not LEAKS.search(message), message
    assert 15 < len(message) < 320, message
    assert message.endswith((".", "!")), message
    assert message != text.UNEXPECTED
    return message


def serves_on(rendered_server) -> None:
    with urllib.request.urlopen(rendered_server.url + "gradio_api/info") as reply:
        assert reply.status == 200
    assert "Traceback" not in rendered_server.log.read_text()


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_pictures(name, rendered_server):
    file = upload(rendered_server, name, BAD_FILES[name])
    refusal(rendered_server, "check_references", [photo(file)])
    serves_on(rendered_server)


def face_photo(photos) -> Image.Image:
    return Image.open(next(iter(photos.values()))[0]).convert("RGB").resize((320, 320))


def findings(server, name: str, data: bytes) -> list[dict[str, str]]:
    """What the check says of one person's only photo."""
    event, answer = call(
        server,
        "check_references",
        body([photo(upload(server, name, data))]),
    )
    assert event == "complete", answer
    return json.loads(answer)[0]["findings"]


def test_six_faces_are_counted(photos, rendered_server):
    found = findings(rendered_server, "six.png", six_faces(face_photo(photos)))
    assert any("6" in finding["message"] for finding in found)
    assert not any(LEAKS.search(finding["message"]) for finding in found)


@pytest.mark.parametrize("name", NO_FACE)
def test_pictures_without_a_face(name, good, rendered_server):
    file = upload(rendered_server, name, NO_FACE[name])
    event, answer = call(rendered_server, "check_references", body([photo(file)]))
    assert event == "complete", answer
    found = json.loads(answer)[0]["findings"]
    assert {finding["severity"] for finding in found} == {"refused"}
    request = good_request(good) | {"characters": photos_named(good[0], file, "Ana", "Ben")}
    refusal(rendered_server, "generate", list(request.values()))


@pytest.mark.parametrize("name", ODD_FORMATS)
def test_odd_but_good_pictures_are_taken(name, photos, rendered_server):
    from pillow_heif import register_heif_opener

    register_heif_opener()
    findings(rendered_server, name, ODD_FORMATS[name](face_photo(photos)))


@pytest.mark.parametrize("case", bad_casts(None, None))
def test_bad_casts(case, good, rendered_server):
    refusal(rendered_server, "check_references", [bad_casts(*good)[case]])
    serves_on(rendered_server)


@pytest.mark.parametrize("wrong", BAD_REQUESTS, ids=lambda wrong: json.dumps(wrong)[:40])
def test_bad_requests(wrong, good, rendered_server):
    request = good_request(good) | wrong
    refusal(rendered_server, "generate", list(request.values()))
    serves_on(rendered_server)


@pytest.mark.parametrize("wrong", BAD_OPTIONS, ids=lambda wrong: json.dumps(wrong)[:40])
def test_bad_options_of_a_model(wrong, rendered_server):
    for api_name in ("describe_model", "load_model"):
        refusal(rendered_server, api_name, ["vace-1.3b", wrong])
    serves_on(rendered_server)


def test_a_caller_may_leave_out_what_came_later(rendered_server):
    for arguments in (["bundled"], ["bundled", {}], []):
        event, answer = call(rendered_server, "describe_model", body(arguments))
        assert (event, json.loads(answer)[0]["name"]) == ("complete", "idvid-mini")


@pytest.mark.parametrize("sent", RAW_BODIES)
def test_raw_requests(sent, rendered_server):
    event, answer = call(rendered_server, "generate", sent)
    assert event == "error" or event.startswith("http 4"), (event, answer)
    assert not re.search(r"Traceback|File \"|site-packages|/tmp|/root|/home", answer), answer
    serves_on(rendered_server)


def test_too_big_an_upload_is_refused(rendered_server):
    with pytest.raises(urllib.error.HTTPError) as caught:
        upload(rendered_server, "big.png", bytes(16_000_000))
    assert caught.value.code == 413
    serves_on(rendered_server)


def test_after_all_this_a_good_request_is_served(good, rendered_server):
    arguments = list(good_request(good).values())
    event, answer = call(rendered_server, "generate", body(arguments))
    assert (event, json.loads(answer)[0]["stage"]) == ("complete", "end")
