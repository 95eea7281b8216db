"""Searches by words over HTTP, on a real PostgreSQL."""

import json

import pytest
from catalogue import assert_problem, client_of
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import MetaData
from sqlmodel import Field, SQLModel

from howdah import Misconfigured, Resource, connect
from howdah.fast import FastStore
from howdah.memory import MemoryDatabase, MemoryStore
from howdah.models import secret
from howdah.paging import KeysetPage
from howdah.query import Query, Show
from howdah.resource.declaration import read_layout
from howdah.search import FullText, search_vector

pytestmark = pytest.mark.anyio


@search_vector("title", "text", language="english")
class Song(SQLModel, table=True):
    __tablename__ = "songs"

    id: int | None = Field(default=None, primary_key=True)
    title: str
    text: str | None
    year: int | None


class SongWrite(BaseModel):
    title: str
    text: str | None = None
    year: int | None = None


class SongUpdate(BaseModel):
    text: str


class SongRead(SongWrite):
    id: int


class Songs(Resource[Song]):
    create_schema = SongWrite
    update_schema = SongUpdate
    read_schema = SongRead
    search = FullText()
    filters = ("year",)
    sort = ("year", "id")


ROWS = [
    {"title": "Rivers", "text": "running home", "year": 1},
    {"title": "Home", "text": None, "year": 2},
    {"title": "Runners at home", "text": "they ran, and run", "year": None},
    {"title": "Silence", "text": "no word of it", "year": 4},
]


@pytest.fixture
async def client(db):
    async with db.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all, [Song.__table__])
    app = FastAPI()
    connect(app, db)
    app.include_router(Songs(db).router(prefix="/songs"))
    async with client_of(app) as client:
        await client.post("/songs/batch", json=ROWS)
        yield client


async def titles(client, **parameters):
    response = await client.get("/songs/search", params=parameters)
    assert response.status_code == 200, response.text
    return [row["title"] for row in response.json()]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("home", ["Home", "Runners at home", "Rivers"]),
        ("homes RUN", ["Rivers", "Runners at home"]),
        ("home -run", ["Home"]),
        ('"running home"', ["Rivers"]),
        ("silence or river", ["Rivers", "Silence"]),
        ("the", []),
        ("of and", []),
        ("hom", []),
        ("-", []),
        ('"', []),
        ("'", []),
        ("!!! & | <-> :*", []),
        ("home & (", ["Home", "Runners at home", "Rivers"]),
        ("\\", []),
        ("日" * 1000, []),
        ("x" * 1000, []),
    ],
)
async def test_words_find_rows_the_best_first(client, q, found):
    assert await titles(client, q=q) == found


async def test_an_order_that_is_asked_for_comes_before_the_ranks(client):
    assert await titles(client, q="home", sort="-year") == [
        "Home",
        "Rivers",
        "Runners at home",
    ]
    assert await titles(client, q="home", year__gte="2") == ["Home"]


async def test_a_row_of_some_fields_has_its_place_too(client, db):
    store = FastStore(db, read_layout(Songs), model="Song")
    query = Query(search="home", show=Show(fields=("title",)))

    found = await store.list(query, KeysetPage(limit=1))

    assert found.body == b'[{"title":"Home"}]'
    assert json.loads(found.last) == [pytest.approx(1), 2]


async def test_a_store_without_words_says_so():
    store = MemoryStore(MemoryDatabase(), read_layout(Songs), model="Song")

    with pytest.raises(Misconfigured, match="'songs' is searched by words"):
        await store.count(Query(search="home"))


@pytest.mark.parametrize("sort", ["", "&sort=year", "&sort=-year,id"])
async def test_a_walk_through_ranks_meets_each_row_once_forth_and_back(client, sort):
    same = [{"title": f"home {number % 3}", "text": "home"} for number in range(30)]
    await client.post("/songs/batch", json=same)
    everything = await client.get(f"/songs/search?q=home&limit=100{sort}")

    forth, path = [], f"/songs/search?q=home&limit=7&count=exact{sort}"
    while path:
        page = await client.get(path)
        forth.append(page.json())
        path = page.links.get("next", {}).get("url")
    back = [page.json()]
    while path := page.links.get("prev", {}).get("url"):
        page = await client.get(path)
        back.insert(0, page.json())

    assert page.headers["x-total-count"] == "33"
    assert len(everything.json()) == 33
    assert [row for page in forth for row in page] == everything.json()
    assert back == forth


async def test_pages_of_ranks_may_be_counted(client):
    assert await titles(client, q="home", skip=1, limit=1) == ["Runners at home"]


async def test_a_cursor_of_other_words_is_refused(client):
    page = await client.get("/songs/search?q=home&limit=1")

    other = page.links["next"]["url"].replace("q=home", "q=run")

    assert_problem(await client.get(other), 422, "invalid")


async def test_a_changed_row_is_found_by_its_new_words(client):
    await client.patch("/songs/4", json={"text": "Elephants"})

    assert await titles(client, q="elephant") == ["Silence"]
    assert await titles(client, q="word") == []


async def test_openapi_tells_how_to_write_a_search(client):
    described = (await client.get("/openapi.json")).json()

    parameters = described["paths"]["/songs/search"]["get"]["parameters"]
    (q,) = [each for each in parameters if each["name"] == "q"]
    assert "words in quotes" in q["description"]


async def test_a_search_by_words_without_its_column_is_refused():
    class Bare(SQLModel, table=True, metadata=MetaData()):
        __tablename__ = "bare"

        id: int = Field(primary_key=True)

    class Bares(Resource[Bare]):
        search = FullText()

    with pytest.raises(Misconfigured, match="no column 'search_vector' to search"):
        read_layout(Bares)


async def test_a_search_finds_no_secret_by_its_words():
    @search_vector("name", "pin", language="simple")
    class Account(SQLModel, table=True, metadata=MetaData()):
        __tablename__ = "accounts"

        id: int = Field(primary_key=True)
        name: str
        pin: str = secret(default="")

    class Accounts(Resource[Account]):
        search = FullText()

    with pytest.raises(Misconfigured, match="search names pin, which is secret"):
        read_layout(Accounts)
