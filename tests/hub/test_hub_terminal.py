"""The command line brings a model from the Hub: said first, then fetched with a line, then loaded."""

import shutil

import torch
import wan_tiny
from hub_models import publish
from safetensors.torch import load_file, save_file

OLD = "1" * 40


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


def test_a_run_says_which_commits_it_had_and_they_bring_the_same_weights_back(
    hub, new_client, vace_folder, tmp_path
):
    """Although main has moved on by then, on another machine."""
    repo, loras = "tiny/moves-on", "tiny/loras-4step"
    shutil.copytree(vace_folder, hub.root / repo)
    wan_tiny.save_loras(hub.root / loras, "few")
    hub.commits |= {repo: OLD, loras: "2" * 40}
    first = new_client().ask(repo, do="load", lora=f"{loras}:few.safetensors")
    assert f"revision: main is commit {OLD} here; {repo}@{OLD} names it for good." in first["said"]
    assert f"main is commit {'2' * 40} here; {loras}@{'2' * 40} names" in first["said"]
    run = first["run"]
    assert run["model"] == {"name": f"{repo}@{OLD}", "revision": "main", "commit": OLD}
    assert run["added"]["lora"]["name"] == f"{loras}@{'2' * 40}:few.safetensors"
    assert run["settings"]["num_steps"] == 4
    assert (run["flow_shift"], run["plan"], run["seed"]) == (5.0, "cpu", 7)

    shutil.move(hub.root / repo, hub.root / f"{repo}@v1")  # main moves on
    shutil.copytree(vace_folder, hub.root / repo)
    weights = hub.root / repo / "transformer" / "diffusion_pytorch_model.safetensors"
    changed = load_file(weights)
    save_file(changed | {"proj_out.weight": torch.zeros_like(changed["proj_out.weight"])}, weights)
    hub.commits = {f"{repo}@v1": OLD, loras: "2" * 40}
    elsewhere = new_client(home=tmp_path / "elsewhere")
    names = {"lora": run["added"]["lora"]["name"]}
    again = elsewhere.ask(run["model"]["name"], do="load", **names)
    assert f"revision: Commit {OLD}, which never changes." in again["said"]
    assert (again["sum"], again["run"]["model"]["commit"]) == (first["sum"], OLD)
    now = elsewhere.ask(repo, do="load")
    assert now["sum"] == 0
    assert now["run"]["model"]["commit"] not in (OLD, None)
    hub.commits = {}
