import pytest
from PIL import Image
from pydantic import ValidationError

from idvid.errors import InputError
from idvid.hub import ModelRef
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


def test_a_lora_is_of_the_hub_and_one_file_of_it_is_fetched(tmp_path, monkeypatch):
    """Also where a folder of the server has the same relative path."""
    (tmp_path / "owner" / "loras").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    extras = options(lora=" owner/loras:few/steps-4.safetensors ", adapter="owner/loras@v1")
    assert extras.lora == ModelRef(repo="owner/loras", files=("few/steps-4.safetensors",))
    assert extras.adapter == ModelRef(repo="owner/loras", revision="v1")
    assert options(lora="owner/loras").lora.files == ("*.safetensors",)


@pytest.mark.parametrize("word", ["lora", "adapter"])
@pytest.mark.parametrize("name", ["/etc", "./owner/loras", "owner/loras/..", "owner", "C:/a"])
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
