import pytest
from PIL import Image
from pydantic import ValidationError

from idvid import cli
from idvid.config import LORA_KINDS
from idvid.errors import HubError, InputError
from idvid.hub import ModelRef
from idvid.pipeline.extras import named_extras
from idvid.ui import intake, text


@pytest.fixture
def uploads(tmp_path, monkeypatch):
    """An upload folder with one picture, and a secret beside it."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    Image.new("RGB", (80, 80)).save(folder / "face.png")
    Image.new("RGB", (80, 80)).save(tmp_path / "secret.png")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


def raw(path) -> list[dict]:
    upload = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
    return [{"name": "Ana", "photos": [upload]}]


def test_an_upload_is_read(uploads):
    (character,) = intake.cast(raw(uploads / "face.png"))
    assert (character.name, character.photos[0].shape) == ("Ana", (80, 80, 3))


def test_a_link_out_of_the_folder_is_refused(uploads):
    (uploads / "link.png").symlink_to(uploads.parent / "secret.png")
    with pytest.raises(InputError) as caught:
        intake.cast(raw(uploads / "link.png"))
    assert str(caught.value) == text.NOT_AN_UPLOAD


@pytest.mark.parametrize("path", ["../secret.png", "face.png/../../secret.png", ".", "none.png"])
def test_what_is_not_a_file_in_the_folder_is_refused(path, uploads):
    with pytest.raises(InputError):
        intake.cast(raw(uploads / path))


def test_a_folder_with_a_like_name_is_not_the_upload_folder(uploads):
    other = uploads.parent / "uploads-of-another"
    other.mkdir()
    Image.new("RGB", (80, 80)).save(other / "face.png")
    with pytest.raises(InputError):
        intake.cast(raw(other / "face.png"))


def test_the_at_sign_of_a_mention_is_no_part_of_the_name(uploads):
    given = raw(uploads / "face.png")
    given[0]["name"] = " @Ana "
    assert intake.cast(given)[0].name == "Ana"


def options(**given):
    return intake.load_request("vace-1.3b", given).extras


def test_page_api_and_command_line_mean_the_same_lora():
    for kind in LORA_KINDS:
        words = ["plan", "--model", "a/b", "--lora", "owner/loras", "--lora-kind", kind]
        from_shell = cli._extras(cli._parser().parse_args(words))
        assert options(lora="owner/loras", lora_kind=kind) == from_shell


def test_a_lora_is_of_the_hub_and_one_file_of_it_is_fetched(tmp_path, monkeypatch):
    """Also where a folder of the server has the same relative path."""
    (tmp_path / "owner" / "loras").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    extras = options(lora=" owner/loras:few/steps-4.safetensors ", adapter="owner/loras@v1")
    assert extras.lora == ModelRef(repo="owner/loras", files=("few/steps-4.safetensors",))
    assert extras.adapter == ModelRef(repo="owner/loras", revision="v1")
    assert options(lora="owner/loras").lora.files == ("*.safetensors",)


@pytest.mark.parametrize(
    "written",
    [
        "owner/loras/few/steps 4.safetensors",
        "https://huggingface.co/owner/loras/blob/main/few/steps%204.safetensors",
        "https://huggingface.co/owner/loras/resolve/main/few/steps 4.safetensors?download=true",
    ],
)
def test_a_lora_may_be_named_as_the_hubs_address_bar_shows_it(written):
    assert options(lora=written) == options(lora="owner/loras:few/steps 4.safetensors")


def test_an_address_may_name_a_revision_or_no_file():
    address = "https://huggingface.co/owner/loras"
    assert options(lora=address) == options(lora="owner/loras")
    assert options(lora=f"{address}/blob/v1/a.safetensors") == options(
        lora="owner/loras@v1:a.safetensors"
    )


@pytest.mark.parametrize(
    "address",
    [
        "https://example.com/owner/loras/blob/main/a.safetensors",
        "https://huggingface.co.example.com/owner/loras/blob/main/a.safetensors",
        "https://huggingface.co@example.com/owner/loras/blob/main/a.safetensors",
        "http://127.0.0.1/owner/loras/resolve/main/a.safetensors",
        "https://huggingface.co/datasets/owner/loras/blob/main/a.safetensors",
    ],
)
def test_an_address_elsewhere_is_refused_in_a_sentence(address):
    with pytest.raises(
        HubError, match=r"^Only addresses on the Hub itself are read; give [^\n]*\.$"
    ):
        options(lora=address)


@pytest.mark.parametrize(
    "written",
    [
        "owner/loras/../../a.safetensors",
        "https://huggingface.co/owner/loras/blob/main/..%2F..%2Fa.safetensors",
        "https://huggingface.co/owner/loras/blob/main/%2Fetc/a.safetensors",
    ],
)
def test_no_spelling_leads_out_of_the_lora(written):
    with pytest.raises(InputError, match=r"must be a path inside it"):
        options(lora=written)


def test_on_the_command_line_a_file_of_this_machine_is_that_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "loras").mkdir(parents=True)
    (tmp_path / "owner" / "loras" / "a.safetensors").touch()
    mine, theirs = (
        named_extras(lora="owner/loras/a.safetensors", is_public=is_public)
        for is_public in (False, True)
    )
    assert (str(mine.lora), mine.lora_file) == ("owner/loras", "a.safetensors")
    assert theirs.lora == ModelRef(repo="owner/loras", files=("a.safetensors",))


@pytest.mark.parametrize("word", ["lora", "adapter"])
@pytest.mark.parametrize(
    "name", ["/etc", "./owner/loras", "owner/loras/..", "owner", "C:/a", "../.."]
)
def test_a_path_of_the_server_is_no_lora_and_no_adapter(word, name):
    with pytest.raises(InputError, match=r"owner/name"):
        options(**{word: name})


@pytest.mark.parametrize("file", ["../a.safetensors", "/a.safetensors", "*.safetensors", "a.py"])
def test_a_loras_file_lies_inside_it(file):
    with pytest.raises(InputError, match=r"must be a path inside it that ends in \.safetensors"):
        options(lora=f"owner/loras:{file}")


def test_a_sentence_repeats_nothing_of_the_input(uploads):
    with pytest.raises(ValidationError) as caught:
        intake.cast([{"name": "Ana", "photos": "/etc/passwd", "/etc/shadow": 1}])
    for error in caught.value.errors():
        assert "/etc" not in intake.sentence(error)
