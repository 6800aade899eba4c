"""The command line brings a model from the Hub: said first, then fetched with a line, then loaded."""

import shutil

from hub_models import publish


def test_a_model_is_described_then_fetched_then_loaded_and_another_kind_refused(
    hub, new_client, vace_folder
):
    repo = "tiny/wan-vace"
    shutil.copytree(vace_folder, hub.root / repo)
    (hub.root / repo / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    client = new_client()
    answer = client.ask(repo, do="load")
    assert answer["class"] == "IdVidVacePipeline"
    words = [line.partition(":")[0] for line in answer["said"].splitlines() if ":" in line]
    shown = [w for w in words if w in ("model", "licence", "download", "limits", "plan")]
    assert shown[:5] == ["model", "licence", "download", "limits", "plan"]
    assert shown[5:].count("download") >= 1
    assert "licence: apache-2.0, as its page says." in answer["said"]
    assert "plan: wan-vace: plan cpu takes" in answer["said"]
    assert "100% of 4" in answer["said"]
    again = client.ask(repo, do="load")
    assert "are on this machine" in again["said"]
    assert "100% of 4" not in again["said"]

    hub.forget()
    other = client.ask(publish(hub, "who/other-kind"), do="load")
    assert "cannot run this kind of model" in other["error"]
    assert not [path for path in hub.sent if path.startswith("/storage/")], "weights that were sent"
