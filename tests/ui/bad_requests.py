"""Requests that must be refused, as a table."""

import math

from raw_api import raw_file

from idvid.config import MAX_SEED

NAN, INFINITY = math.nan, math.inf


def photos_named(first, second, *names):
    """A cast with these names, with the two photos in turn."""
    return [{"name": name, "photos": [(first, second)[i % 2]]} for i, name in enumerate(names)]


def photo(value):
    """A cast of one whose photo is this."""
    return [{"name": "Ana", "photos": [value]}]


def bad_casts(first, second) -> dict[str, object]:
    """What may be sent instead of a cast; `first` and `second` are good uploads."""
    return {
        "no list": "abc",
        "nothing": None,
        "a dict": {"name": "Ana"},
        "nobody": [],
        "a null": [None],
        "a list in a list": [[]],
        "a word": ["Ana"],
        "a number": [7],
        "nine people": photos_named(first, second, *(f"Person{i}" for i in range(9))),
        "an empty name": photos_named(first, second, ""),
        "a blank name": photos_named(first, second, "   "),
        "only the at sign": photos_named(first, second, "@"),
        "equal names": photos_named(first, second, "Ana", "Ana"),
        "names equal but for capitals": photos_named(first, second, "Ana", "ANA"),
        "a name of 500 letters": photos_named(first, second, "A" * 500),
        "a name of a million letters": photos_named(first, second, "A" * 1_000_000),
        "a name with HTML": photos_named(first, second, "<script>alert(1)</script>"),
        "a name with a path": photos_named(first, second, "../../etc/passwd"),
        "a Windows path": photos_named(first, second, "C:\\Windows\\System32"),
        "a name of two lines": photos_named(first, second, "Ana\nBen"),
        "a name with a NUL": photos_named(first, second, "Ana\0"),
        "a number for a name": photos_named(first, second, 7),
        "null for a name": photos_named(first, second, None),
        "a list for a name": photos_named(first, second, ["Ana"]),
        "no name": [{"photos": [first]}],
        "no photos": [{"name": "Ana"}],
        "an empty list of photos": [{"name": "Ana", "photos": []}],
        "null for photos": [{"name": "Ana", "photos": None}],
        "a photo and no list": [{"name": "Ana", "photos": first}],
        "nine photos": [{"name": "Ana", "photos": [first] * 9}],
        "a long description": [{"name": "Ana", "photos": [first], "description": "x" * 501}],
        "a number for a description": [{"name": "Ana", "photos": [first], "description": 5}],
        "an unknown field": [{"name": "Ana", "photos": [first], "/etc/passwd": 1}],
        "a bare path": photo("/etc/hostname"),
        "a path without the mark": photo({"path": "/etc/hostname"}),
        "a path with a false mark": photo({"path": "/etc/hostname", "meta": {"_type": "x"}}),
        "a system file": photo(raw_file("/etc/passwd")),
        "a file of the server": photo(raw_file("app.py")),
        "a climbing path": photo(raw_file("../../../../etc/passwd")),
        "a path with a NUL": photo(raw_file("/etc/\0.png")),
        "an empty path": photo(raw_file("")),
        "a path that is a number": photo(raw_file(5)),
        "loopback": photo(raw_file("http://127.0.0.1:80/a.png", url="http://127.0.0.1:80/a.png")),
        "localhost": photo(raw_file("http://localhost/a.png")),
        "loopback in six": photo(raw_file("http://[::1]/a.png")),
        "the metadata service": photo(raw_file("http://169.254.169.254/latest/meta-data/")),
        "a public address": photo(raw_file("https://example.com/a.png")),
        "a file address": photo(raw_file("file:///etc/passwd")),
        "a data address": photo(raw_file("data:image/png;base64,AAAA")),
        "an address as a word": photo("http://127.0.0.1/a.png"),
        "nested too deep": photo({"a": {"b": {"c": {"d": {"e": {"f": {"g": [[[[[[[1]]]]]]]}}}}}}}),
        "a photo that is null": photo(None),
        "a photo that is a list": photo([1, 2, 3]),
    }


BAD_OPTIONS = [  # of a model, in `/load_model` and in the settings of `/generate`
    {"lora": "/etc"},
    {"lora": "idvid/weights/mini"},
    {"lora": "../../etc:passwd.safetensors"},
    {"lora": "a/b:../../secret.safetensors"},
    {"lora": "a/b:/etc/secret.safetensors"},
    {"lora": "a/b:*.safetensors"},
    {"lora": "a/b:code.py"},
    {"lora": "a/b/../../secret.safetensors"},
    {"lora": "../../secret.safetensors"},
    {"lora": "/etc/a/secret.safetensors"},
    {"lora": "https://example.com/a/b/blob/main/few.safetensors"},
    {"lora": "https://huggingface.co/a/b/blob/main/code.py"},
    {"lora": "file:///etc/a/few.safetensors"},
    {"lora": "x" * 301},
    {"lora": 7},
    {"lora": "a/b", "lora_kind": "fast"},
    {"lora_kind": 4},
    {"adapter": "/etc"},
    {"adapter": "./runs/adapter"},
    {"adapter": "https://example.com/a"},
    {"adapter": None},
    {"cache": "first_block"},
    {"cache": ["taylorseer"]},
    {"quantise": "int2"},
    {"quantise": 8},
    {"judge": "/etc"},
    {"judge": "someone/a-pack"},
    {"judge": 1},
    {"unknown": "a"},
]


BAD_REQUESTS = [
    {"prompt": ""},
    {"prompt": " \n "},
    {"prompt": "x" * 1001},
    {"prompt": "x" * 1_000_000},
    {"prompt": None},
    {"prompt": 7},
    {"prompt": ["a"]},
    {"prompt": "@Nobody laughs"},
    {"seconds": 0},
    {"seconds": 0.99},
    {"seconds": 30.01},
    {"seconds": -4},
    {"seconds": 1e308},
    {"seconds": 10**400},
    {"seconds": NAN},
    {"seconds": INFINITY},
    {"seconds": "4"},
    {"seconds": None},
    {"seconds": True},
    {"seconds": [4]},
    {"seed": -1},
    {"seed": MAX_SEED + 1},
    {"seed": 10**30},
    {"seed": 1.5},
    {"seed": NAN},
    {"seed": "1"},
    {"seed": None},
    {"methods": []},
    {"methods": None},
    {"methods": "locks"},
    {"methods": ["magic"]},
    {"methods": ["locks", "locks"]},
    {"methods": ["none", "context", "locks"]},
    {"methods": [None]},
    {"methods": ["../locks"]},
    {"settings": None},
    {"settings": [1]},
    {"settings": {"unknown": 1}},
    {"settings": {"identity_strength": -0.1}},
    {"settings": {"identity_strength": 1.6}},
    {"settings": {"identity_strength": NAN}},
    {"settings": {"identity_strength": "strong"}},
    {"settings": {"num_steps": 0}},
    {"settings": {"num_steps": 101}},
    {"settings": {"num_steps": 2.5}},
    {"settings": {"few_steps": "yes, please"}},
    {"settings": {"guidance_scale": 0.5}},
    {"settings": {"guidance_scale": 10.5}},
    {"settings": {"guidance_scale": INFINITY}},
    {"settings": {"model": None}},
    {"settings": {"model": 7}},
    {"settings": {"model": ""}},
    {"settings": {"model": "magic"}},
    {"settings": {"model": "x" * 201}},
    {"settings": {"model": "/etc"}},
    {"settings": {"model": "idvid/weights/mini"}},
    {"settings": {"model": "idvid/weights"}},  # a folder of the server, and a name on the Hub
    {"settings": {"model": "../../etc"}},
    {"settings": {"model": "http://127.0.0.1/a"}},
    *({"settings": options} for options in BAD_OPTIONS),
    {"settings": {"extend": "/etc/passwd"}},
    {"settings": {"extend": raw_file("/etc/passwd")}},
    {"settings": {"extend": raw_file("http://127.0.0.1/a.mp4")}},
    {"settings": {"extend": [1]}},
    {"settings": {"lora": "someone/some-lora"}},  # the bundled model takes none
    {"settings": {"cache": "taylorseer"}},
    {"settings": {"quantise": "fp8"}},
    {"characters": []},
    {"characters": "abc"},
]


RAW_BODIES = [
    b"",
    b"no json",
    b"[]",
    b'{"data": 5}',
    b'{"data": []}',
    b'{"data": ["a"]}',
    b'{"data": [1, 2, 3, 4, 5, 6, 7, 8, 9]}',
    b'{"data": {"prompt": "x"}}',
    b'{"data": [NaN, NaN, NaN, NaN, NaN, NaN]}',
    b'{"data": ["\\ud800", [], 1, 1, [], {}]}',
]
