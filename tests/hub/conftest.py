"""One Hub on loopback and one client process for all tests of the folder; each test has own models."""

from itertools import count

import pytest
from hub_client import Client
from hub_models import publish
from hub_server import LoopbackHub

NUMBERS = count()


@pytest.fixture(scope="session")
def _served(tmp_path_factory):
    with LoopbackHub(tmp_path_factory.mktemp("hub")) as server:
        yield server


@pytest.fixture
def hub(_served):
    _served.forget()
    yield _served
    _served.forget()


@pytest.fixture(scope="session")
def client(_served, tmp_path_factory):
    process = Client(_served.url, tmp_path_factory.mktemp("home"))
    yield process
    process.close()


@pytest.fixture
def new_client(hub, tmp_path):
    """Makes more client processes; they share a fresh cache unless told otherwise."""
    made = []

    def make(**settings):
        url = settings.pop("url", hub.url)
        made.append(Client(url, settings.pop("home", tmp_path / "home"), **settings))
        return made[-1]

    yield make
    for process in made:
        process.close()


@pytest.fixture
def model(hub):
    """A model of small files that no other test knows; its name."""
    return publish(hub, f"who/model-{next(NUMBERS)}")
