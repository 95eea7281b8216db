"""The server for documents where no address is given: whose it is, and who ends it."""

import gc
import sys

import pytest
from beanie import Document

from howdah import Settings
from howdah.documents import DevelopmentServer, MongoDatabase
from howdah.errors import Misconfigured
from howdah.pytest_plugin import _with_documents

pytestmark = pytest.mark.anyio


class Note(Document):
    text: str


@pytest.fixture(autouse=True)
def _no_address(monkeypatch, tmp_path):
    monkeypatch.delenv("MONGODB_URL", raising=False)
    monkeypatch.chdir(tmp_path)


async def test_a_database_without_an_address_brings_a_server_and_keeps_its_files():
    async with MongoDatabase(documents=[Note]):
        await Note(text="x").insert()

    async with MongoDatabase(documents=[Note]) as db:
        assert await Note.count() == 1
        assert (await db.health()).ok


async def test_who_comes_second_has_the_server_of_the_first(tmp_path):
    first, second = DevelopmentServer(tmp_path), DevelopmentServer(tmp_path)

    with first as url:
        with second as same:
            assert same == url
        async with MongoDatabase(url, documents=[Note]):
            assert await Note.count() == 0

    with second as other:
        assert other.startswith("mongodb://127.0.0.1:")


def test_where_there_is_no_server_to_bring_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "secantus", None)

    with pytest.raises(Misconfigured, match="`pip install secantusdb`"):
        DevelopmentServer(tmp_path).start()


# PyMongo leaves the socket of a connection that was refused to the collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_the_address_is_that_of_the_settings(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "secantus", None)
    (tmp_path / ".env").write_text("MONGODB_URL=mongodb://127.0.0.1:1/env\n")
    given = Settings(mongodb_url="mongodb://127.0.0.1:2/given")

    for port, where in (1, None), (2, given), (3, "mongodb://127.0.0.1:3/x"):
        db = MongoDatabase(where, documents=[Note], timeout=0.05)
        await db.open(wait=False)
        assert f"127.0.0.1:{port}" in repr(db.client)
        await db.close()
    gc.collect()


@pytest.mark.parametrize("turn", [1, 2])
async def test_a_test_has_a_database_of_its_own(turn, mongodb_url):
    async with MongoDatabase(mongodb_url, documents=[Note]):
        await Note(text=str(turn)).insert()

        assert await Note.count() == 1


@pytest.mark.parametrize(
    ("server", "want"),
    [
        ("mongodb://h:1/", "mongodb://h:1/x"),
        ("mongodb://h:1,i:2/?replicaSet=r", "mongodb://h:1,i:2/x?replicaSet=r"),
        ("mongodb://u:p@h/", "mongodb://u:p@h/x?authSource=admin"),
        ("mongodb://u:p@h/app?w=1", "mongodb://u:p@h/x?w=1&authSource=app"),
        ("mongodb://u:p@h/?authSource=a", "mongodb://u:p@h/x?authSource=a"),
    ],
)
def test_who_logs_in_does_so_where_they_are_known(server, want):
    assert _with_documents(server, "x") == want
