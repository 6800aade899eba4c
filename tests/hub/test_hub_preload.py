"""A Space's image holds models that `preload_from_hub` names: they are found, and nothing is fetched.

The Hub's documentation says that such files lie in the Hub library's default cache, so the library
itself writes it here. Which version of it a Space is built with is not documented: older ones keep
no list of a model's files (`trees/`), as none is kept of single files.
"""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from hub_models import WANTED, WEIGHTS, assert_same, fetched, publish
from hub_server import Fault

from idvid.hub import CATALOGUE

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAMED = ("tokenizer/vocab.txt", WEIGHTS)
GUIDE = Path(__file__).parents[2] / "docs" / "duplicating.md"
CARDS = {card.ref.repo: card for card in CATALOGUE}


def preload(new_client, line, *, keeps_lists=True):
    """Build an image with a line; nothing of the process that did it is left."""
    client = new_client()
    answer = client.ask("a/b", "preload", line=line)
    client.close()
    lists = list(client.home.glob("hub/*/trees"))
    for folder in [] if keeps_lists else lists:
        shutil.rmtree(folder)
    return Path(answer["folder"])


def looks(hub, new_client, repo, **ref):
    """What two new processes find: one that may ask the Hub, and one that may not."""
    hub.forget()
    asking = new_client().ask(repo, "local_path", **ref)
    asked = list(hub.asked)
    hub.forget()
    silent = new_client(HF_HUB_OFFLINE="1").ask(repo, "local_path", **ref)
    assert hub.asked == []
    assert silent["folder"] == asking["folder"]
    return asking, asked


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_whole_model_is_found_without_a_request(hub, new_client, model, revision):
    hub.commits[model] = COMMIT
    folder = preload(new_client, model)
    found, asked = looks(hub, new_client, model, revision=revision)
    assert (Path(found["folder"]), folder.name, asked) == (folder, COMMIT, [])


@pytest.mark.parametrize("line", ["{} {}", "{} {} {}"])
def test_named_files_are_found_without_a_request(hub, new_client, model, line):
    hub.commits[model] = COMMIT
    preload(new_client, line.format(model, ",".join(NAMED), COMMIT))
    found, asked = looks(hub, new_client, model, revision=COMMIT, files=NAMED)
    assert (set(found["files"]), asked) == (set(NAMED), [])
    assert_same(found, hub, model)


def test_files_that_nobody_preloaded_are_fetched_and_no_others(hub, new_client, model):
    folder = preload(new_client, f"{model} {WEIGHTS}")
    hub.forget()
    offline = new_client(HF_HUB_OFFLINE="1").ask(model, files=NAMED)
    assert "is not on this machine and the network is off" in offline["error"]
    found = new_client().ask(model)
    assert (Path(found["folder"]), found["files"]) == (folder, WANTED)
    assert WEIGHTS.rpartition("/")[2] not in {r.rpartition("/")[2] for r in fetched(hub)}


@pytest.mark.parametrize("is_writable", [True, False])
def test_a_cache_without_lists_costs_a_question_and_no_file(hub, new_client, model, is_writable):
    folder = preload(new_client, model, keeps_lists=False)
    hub.forget()
    client = new_client()
    if not is_writable:  # root may write anything, so the places are taken
        (folder.parents[1] / "trees").touch()
        (folder.parents[1] / "refs" / f"main.{client.process.pid}.tmp").mkdir()
    assert client.ask(model)["folder"] == str(folder)
    assert hub.asked == [f"GET /api/models/{model}/revision/main"]
    hub.faults.append(Fault(where="*", status=503))
    assert new_client(HF_HUB_OFFLINE="1").ask(model)["folder"] == str(folder)
    assert client.ask(model)["folder"] == str(folder)


@pytest.mark.parametrize("keeps_lists", [True, False])
def test_a_preloaded_model_is_loaded_with_the_network_off(
    hub, new_client, vace_folder, keeps_lists
):
    repo = f"preloaded/vace-{keeps_lists}"
    shutil.copytree(vace_folder, hub.root / repo)
    preload(new_client, repo, keeps_lists=keeps_lists)
    hub.forget()
    answer = new_client(HF_HUB_OFFLINE="1").ask(repo, "load")
    assert answer["class"] == "IdVidVacePipeline"
    assert hub.asked == []


def guide_lines():
    block = re.search(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1]
    return yaml.safe_load(block)["preload_from_hub"]


@pytest.mark.parametrize("line", guide_lines())
def test_the_guides_lines_bring_what_the_catalogue_asks_for(hub, new_client, vace_folder, line):
    """A stand-in under the true name and commit: whatever is missing would be asked for."""
    card = CARDS[line.split()[0]]
    repo, files = card.ref.repo, card.ref.named_files
    if files:
        publish(hub, repo, dict.fromkeys((*files, "scrfd_10g_bnkps.onnx"), b"onnx"))
    else:
        shutil.copytree(vace_folder, hub.root / repo)
        publish(hub, repo, {"README.md": b"", ".gitattributes": b""})
    hub.commits[repo] = card.ref.revision
    folder = preload(new_client, line)
    ref = {"revision": card.ref.revision, "files": card.ref.files}
    found, asked = looks(hub, new_client, repo, **ref)
    assert (Path(found["folder"]), asked) == (folder, [])
    unused = {name for name in found["files"] if not card.ref.wants(name)}
    assert unused <= {"README.md", ".gitattributes"}, "the image holds more than is used"
