"""Calls to the API without a client library, so that nothing is checked before the server."""

import json
import urllib.error
import urllib.request


def upload(server, name: str, data: bytes) -> dict:
    """Upload a file as a browser does; returns it as a request names it."""
    head = f'--X\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    request = urllib.request.Request(
        server.url + "gradio_api/upload",
        head.encode() + data + b"\r\n--X--\r\n",
        {"Content-Type": "multipart/form-data; boundary=X"},
    )
    with urllib.request.urlopen(request) as reply:
        (path,) = json.load(reply)
    return raw_file(path, orig_name=name)


def raw_file(path: object, **more) -> dict:
    """A file in the form that Gradio's clients send."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def call(server, api_name: str, body: bytes) -> tuple[str, str]:
    """The last event of a raw call and its data; a refusal before the queue is an event, too."""
    address = f"{server.url}gradio_api/call/{api_name}"
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            event = json.load(reply)["event_id"]
    except urllib.error.HTTPError as error:
        return f"http {error.code}", error.read().decode()
    with urllib.request.urlopen(f"{address}/{event}", timeout=60) as reply:
        *_, name, data = (line for line in reply.read().decode().splitlines() if line)
    return name.removeprefix("event: "), data.removeprefix("data: ")
