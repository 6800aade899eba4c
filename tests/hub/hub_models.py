"""Small models to publish on the loopback Hub, and what a test may say about them."""

from pathlib import Path

from hub_server import Fault

SMALL = {
    "README.md": b"---\nlicense: apache-2.0\n---\n",
    "model_index.json": b'{"hello": "hub"}',
    "vae/model.safetensors": bytes(range(256)) * 1200,
    "tokenizer/vocab.txt": b"a\nb\n",
    "tokenizer/spiece.model": b"pieces",
    "pytorch_model.bin": b"\x80\x04pickle",
    "word2vec.model": b"\x80\x04pickle",
    "modeling_custom.py": b"raise SystemExit('remote code ran')",
}
WANTED = {
    name: len(SMALL[name])
    for name in (
        "model_index.json", "vae/model.safetensors", "tokenizer/vocab.txt", "tokenizer/spiece.model"
    )
}  # fmt: skip
WEIGHTS = "vae/model.safetensors"


def publish(hub, repo, files=None):
    for name, data in (files or SMALL).items():
        path = hub.root / repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return repo


def fetched(hub):
    """What was asked for in full: the requests for contents."""
    return [r for r in hub.asked if r.startswith("GET") and ("/resolve/" in r or "/storage/" in r)]


def assert_same(answer, hub, repo):
    """The folder holds exactly what the Hub has, byte for byte."""
    folder = Path(answer["folder"])
    for name in answer["files"]:
        assert (folder / name).read_bytes() == (hub.root / repo / name).read_bytes(), name


def weights_fault(repo="*", **how):
    """A fault for the storage of weights; where it passes, name the model that is to meet it.

    A download that an earlier test gave up goes on for a moment, and would meet it first.
    """
    return Fault(where=f"GET /storage/{repo}/*", **how)


def storage_bytes(hub, repo):
    """Bytes that the storage sent of a model's weights."""
    return hub.sent[f"/storage/{repo}/{WEIGHTS}"]
