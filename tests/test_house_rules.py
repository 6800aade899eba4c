"""The rules of the house that no linter can say."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "idvid").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAX_LINES = 300
MAX_FILE_BYTES = 9_500_000  # the Hub takes files up to 10 MB in plain git


def tracked_files():
    """Every file of the repository: what git knows, or all there is in a copy without git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    names = [n for n in listed.stdout.decode().split("\0") if n]
    files = [ROOT / n for n in names] or [
        p for part in ("idvid", "tests", "examples", "docs") for p in (ROOT / part).rglob("*")
    ]
    return [p for p in files if p.is_file()]


def front_matter():
    """The Space card's settings: `key: value` lines between the first two rules of README."""
    text = (ROOT / "README.md").read_text()
    assert text.startswith("---\n")
    lines = text.split("---\n")[1].splitlines()
    return {k: v.strip().strip('"') for k, _, v in (line.partition(":") for line in lines)}


@pytest.mark.parametrize("folder", ["idvid", "tests", "examples", "benchmarks"])
def test_no_file_is_longer_than_a_few_screens(folder):
    lengths = {p: len(p.read_text().splitlines()) for p in (ROOT / folder).rglob("*.py")}
    assert {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > MAX_LINES} == {}


def test_every_module_is_in_the_file_map():
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    names = [str(p.relative_to(ROOT)) for p in MODULES if p.name != "__init__.py"]
    assert [name for name in names if f"`{name}`" not in architecture] == []


def test_the_file_map_names_no_ghosts():
    named = re.findall(r"`(idvid/[\w/]+\.py)`", (ROOT / "ARCHITECTURE.md").read_text())
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_dependency_has_its_reason():
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    names = [line.partition("==")[0] for line in PROJECT["dependencies"]]
    assert [name for name in names if f"| `{name}` |" not in architecture] == []


def test_every_module_says_what_it_owns():
    assert [str(p) for p in MODULES if not p.read_text().startswith('"""')] == []


@pytest.mark.parametrize(
    ("file", "listed"),
    [
        ("requirements.txt", PROJECT["dependencies"]),
        ("requirements-dev.txt", PROJECT["optional-dependencies"]["dev"]),
    ],
)
def test_requirements_repeat_the_pinned_list(file, listed):
    assert (ROOT / file).read_text().splitlines() == listed
    assert [line for line in listed if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_the_space_card_agrees_with_the_pins():
    card = front_matter()
    assert f"gradio=={card['sdk_version']}" in PROJECT["dependencies"]
    assert card["sdk"] == "gradio"
    assert (ROOT / card["app_file"]).exists()
    assert card["license"] == PROJECT["license"].lower()
    assert len(card["short_description"]) <= 60


def test_the_readme_names_the_commands_that_ci_runs():
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    assert "pip install -r requirements.txt && python app.py" in readme
    assert "pip install -r requirements.txt -r requirements-dev.txt && pytest" in readme
    assert "-r requirements.txt -r requirements-dev.txt\n" in ci
    assert ci.rstrip().endswith("\npytest")


def test_importing_idvid_loads_nothing_heavy():
    heavy = ("torch", "gradio", "diffusers", "transformers", "numpy", "dlib", "av", "numba")
    code = (
        "import sys, idvid, idvid.cli, idvid.config, idvid.errors, idvid.types;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_no_file_is_too_large_for_a_space():
    sizes = {str(p.relative_to(ROOT)): p.stat().st_size for p in tracked_files()}
    assert len(sizes) > 50
    assert {name: size for name, size in sizes.items() if size > MAX_FILE_BYTES} == {}


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("gradio", ("idvid/ui/",)),
        ("huggingface_hub", ("idvid/hub/",)),
        ("spaces", ("idvid/runtime.py",)),
        ("insightface", ("idvid/faces/",)),
    ],
)
def test_a_library_is_used_only_by_its_owner(library, allowed):
    """Import-linter guards packages; this says it file by file, lazy imports included."""
    pattern = re.compile(rf"^\s*(import|from) {library}\b", re.MULTILINE)
    users = [str(p.relative_to(ROOT)) for p in MODULES if pattern.search(p.read_text())]
    assert [name for name in users if not name.startswith(allowed)] == []


def test_every_dependency_is_imported():
    """A package that nobody imports is a package that nobody needs."""
    other_names = {
        "dlib-bin": "dlib",
        "pillow": "PIL",
        "pillow-heif": "pillow_heif",
    }
    use = r"^\s*(?:import|from) {name}\b|import_module\(\"{name}\"\)"
    # torch.utils.tensorboard writes through the first, diffusers' pipelines need the others
    behind_others = {"tensorboard", "ftfy", "peft"}
    sources = "\n".join(p.read_text() for p in [*MODULES, ROOT / "app.py"])
    unused = [
        name
        for name in (line.partition("==")[0] for line in PROJECT["dependencies"])
        if name not in behind_others
        and not re.search(use.format(name=other_names.get(name, name)), sources, re.MULTILINE)
    ]
    assert unused == []


def test_no_environment_is_read_outside_the_runtime():
    users = [
        str(p.relative_to(ROOT))
        for p in MODULES
        if re.search(r"os\.(environ|getenv)", p.read_text()) and p.name != "runtime.py"
    ]
    assert users == []


def test_this_machine_is_not_in_the_repository():
    """Paths and hosts of whoever built this have no meaning elsewhere."""
    words = ("/" + "work/", "/" + "opt/", "/" + "tmp/", "/" + "root/")
    text_kinds = {".py", ".md", ".toml", ".txt", ".json", ".css", ".js", ".yml"}
    named = {
        f"{p.relative_to(ROOT)}: {word}"
        for p in tracked_files()
        if p.suffix in text_kinds
        for word in words
        if word in p.read_text()
    }
    assert named == set()
