"""Rows put over HTTP: made where they are not known, changed where they are."""

import asyncio
from datetime import datetime
from typing import Annotated

import pytest
from catalogue import assert_problem, client_of
from fastapi import FastAPI, Header
from pydantic import BaseModel
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlmodel import Field

from howdah import (
    Misconfigured,
    Resource,
    SoftDeleteFields,
    TimestampFields,
    connect,
)
from howdah.memory import MemoryDatabase
from howdah.models import unique_where, unique_while_active

pytestmark = pytest.mark.anyio


class Product(TimestampFields, table=True):
    __tablename__ = "products"
    metadata = MetaData()

    id: int | None = Field(default=None, primary_key=True)
    sku: str | None = Field(default=None, unique=True)
    name: str = Field(unique=True)
    price: int = 0
    stock: int | None = None
    made_by: str | None = None


class ProductCreate(BaseModel):
    sku: str | None = None
    name: str
    price: int = 0
    stock: int | None = None
    made_by: str | None = None


class ProductUpdate(BaseModel):
    name: str | None = None
    price: int = 0
    stock: int | None = None


class ProductRead(ProductCreate):
    id: int
    created_at: datetime
    updated_at: datetime | None


class Products(Resource[Product]):
    create_schema = ProductCreate
    update_schema = ProductUpdate
    read_schema = ProductRead
    upsert = ("sku",)


class Tag(SoftDeleteFields, table=True):
    __tablename__ = "marked_tags"
    __table_args__ = (unique_while_active("kind", "word"),)
    metadata = MetaData()

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    word: str
    note: str | None = None


class TagWrite(BaseModel):
    kind: str
    word: str
    note: str | None = None


class TagRead(TagWrite):
    id: int


class Tags(Resource[Tag]):
    create_schema = update_schema = TagWrite
    read_schema = TagRead
    soft_delete = "is_active"
    upsert = ("kind", "word")


@pytest.fixture
async def client(db):
    """A client of products, known by their sku, and of tags, known by two fields."""
    app = FastAPI()
    connect(app, db)
    for resource, prefix in ((Products, "/products"), (Tags, "/tags")):
        app.include_router(resource(db).router(prefix=prefix))
    async with db.engine.begin() as connection:
        for model in (Product, Tag):
            await connection.run_sync(model.__table__.create)
    async with client_of(app) as client:
        yield client


TEA = {"sku": "t1", "name": "Tea", "price": 5, "stock": 7, "made_by": "Ada"}


async def test_a_row_is_made_and_then_changed(client):
    made = await client.put("/products/", json=TEA)
    change = {"sku": "t1", "name": "Green tea", "stock": None, "made_by": "Eve"}
    changed = await client.put("/products/", json=change)
    got = await client.get("/products/1")

    assert (made.status_code, changed.status_code) == (201, 200)
    assert made.headers["location"] == changed.headers["location"] == "/products/1"
    # The maker is no field of an update, the price was not sent.
    assert changed.json() == {
        **made.json(),
        "name": "Green tea",
        "stock": None,
        "updated_at": changed.json()["updated_at"],
    }
    assert changed.json()["updated_at"] is not None
    assert (got.json(), got.headers["etag"]) == (
        changed.json(),
        changed.headers["etag"],
    )


@pytest.mark.parametrize("form", ["{}", "batch"])
@pytest.mark.parametrize("sku", [{"sku": None}, {}])
async def test_a_row_without_what_it_is_known_by_is_refused(client, form, sku):
    body = {"name": "Tea", **sku}
    batch = form == "batch"

    response = await client.put(
        f"/products/{'batch' if batch else ''}", json=[TEA, body] if batch else body
    )

    members = assert_problem(response, 422, "invalid")
    assert [(e["field"], e.get("index")) for e in members["errors"]] == [
        ("sku", 1 if batch else None)
    ]
    assert (await client.get("/products/count")).json() == {"total": 0}


async def test_another_value_that_is_taken_is_a_conflict(client):
    await client.put("/products/", json=TEA)

    response = await client.put("/products/", json={"sku": "t2", "name": "Tea"})

    members = assert_problem(response, 409, "duplicate")
    assert [error["field"] for error in members["errors"]] == ["name"]


async def test_a_batch_makes_and_changes(client):
    await client.put("/products/", json=TEA)
    rows = [
        {"sku": "c1", "name": "Cocoa", "price": 1},
        {"sku": "t1", "name": "Tea", "price": 6},
        {"sku": "m1", "name": "Mate"},
    ]

    response = await client.put("/products/batch", json=rows)

    assert response.status_code == 200
    assert [(r["sku"], r["price"], r["stock"]) for r in response.json()] == [
        ("c1", 1, None),
        ("t1", 6, 7),
        ("m1", 0, None),
    ]
    twice = await client.put("/products/batch", json=[rows[0], rows[2], rows[0]])
    members = assert_problem(twice, 422, "invalid")
    assert [(e["field"], e["index"]) for e in members["errors"]] == [("sku", 2)]


async def test_ten_thousand_rows_are_put(client):
    rows = [{"sku": f"{n}", "name": f"name {n}", "price": n} for n in range(10_000)]
    made = await client.put("/products/batch", json=rows)
    again = [
        {**row, "price": 1} if n % 2 else {**row, "stock": 2}
        for n, row in enumerate(rows)
    ]

    changed = await client.put("/products/batch", json=again)

    assert [row["id"] for row in changed.json()] == [row["id"] for row in made.json()]
    assert changed.json()[7]["price"] == 1
    assert (changed.json()[8]["price"], changed.json()[8]["stock"]) == (8, 2)


async def test_a_deleted_row_of_a_partial_index_is_left_alone(client):
    tag = {"kind": "a", "word": "b", "note": "c"}
    first = (await client.put("/tags/", json=tag)).json()
    await client.delete(f"/tags/{first['id']}")

    second = await client.put("/tags/", json={"kind": "a", "word": "b"})
    third = await client.put("/tags/", json=tag)
    many = await client.put("/tags/batch", json=[{"kind": "a", "word": "b"}])

    assert (second.status_code, third.status_code) == (201, 200)
    assert second.json()["id"] == third.json()["id"] != first["id"]
    assert many.json() == [third.json()]


async def test_of_many_clients_one_makes_the_row(client):
    async def put(number):
        return await client.put("/products/", json={**TEA, "price": number})

    answers = await asyncio.gather(*map(put, range(50)))

    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(201), statuses.count(200)) == (1, 49)
    assert (await client.get("/products/count")).json() == {"total": 1}


async def test_openapi_knows_both_answers(client):
    put = (await client.get("/openapi.json")).json()["paths"]["/products/"]["put"]

    assert {"200", "201", "409", "422"} <= put["responses"].keys()
    assert put["operationId"] == "products_put"


class Base(DeclarativeBase):
    metadata = MetaData()


class Word(Base):
    __tablename__ = "words"
    __table_args__ = (UniqueConstraint("owner", "word"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    word: Mapped[str]
    note: Mapped[str | None]
    label: Mapped[str | None] = mapped_column(CITEXT, unique=True)


class Labels(Resource[Word]):
    upsert = ("label",)


class Words(Resource[Word]):
    server_owned = ("owner",)
    upsert = ("owner", "word")

    def scope(self, owner: Annotated[str, Header()]):
        return true() if owner == "root" else Word.owner == owner


class SentWords(Words):
    """The same, with an owner that is sent and not heard."""

    server_owned = ()


@pytest.fixture(params=["fast", "orm", "memory"])
async def words(request, db):
    async with db.engine.begin() as connection:
        await connection.execute(text("CREATE EXTENSION IF NOT EXISTS citext"))
        await connection.run_sync(Base.metadata.create_all)
    app = FastAPI()
    connect(app, db)
    database = MemoryDatabase() if request.param == "memory" else db
    members = {"orm": True} if request.param == "orm" else {}
    for resource in (Labels, Words, SentWords):
        served = type(resource.__name__, (resource,), members)(database)
        app.include_router(served.router(prefix=f"/{resource.__name__.lower()}"))
    async with client_of(app) as client:
        client.store = request.param
        yield client


ANN, BOB, ROOT = ({"owner": name} for name in ("ann", "bob", "root"))


@pytest.mark.parametrize("path", ["/words/", "/sentwords/"])
async def test_rows_are_known_by_what_their_scope_gives_them(words, path):
    sent = {} if path == "/words/" else {"owner": "bob"}

    statuses = [
        (await words.put(path, json={"word": "a", **sent}, headers=who)).status_code
        for who in (ANN, ANN, BOB, ANN)
    ]
    batch = [{"word": "a", "note": "n", **sent}, {"word": "b", **sent}]
    put = await words.put(f"{path}batch", json=batch, headers=ANN)
    found = (await words.get(path, headers=BOB)).json()

    assert statuses == [201, 200, 201, 200]
    assert put.status_code == 200, put.text
    kept = [(row["owner"], row["word"], row["note"]) for row in put.json()]
    assert kept == [("ann", "a", "n"), ("ann", "b", None)]
    assert [(row["owner"], row["note"]) for row in found] == [("bob", None)]


async def test_rows_that_a_scope_makes_one_are_named(words):
    batch = [{"word": "a", "owner": "x"}, {"word": "b", "owner": "x"}]
    batch.append({"word": "a", "owner": "y"})

    answer = await words.put("/sentwords/batch", json=batch, headers=ANN)

    members = assert_problem(answer, 422, "invalid")
    assert {error["index"] for error in members["errors"]} == {2}
    assert (await words.get("/words/", headers=ROOT)).json() == []


async def test_a_scope_that_gives_nothing_leaves_rows_unknowable(words):
    one = await words.put("/words/", json={"word": "a"}, headers=ROOT)
    many = await words.put("/words/batch", json=[{"word": "a"}], headers=ROOT)

    for answer in (one, many):
        members = assert_problem(answer, 422, "invalid")
        assert [error["field"] for error in members["errors"]] == ["owner"]


@pytest.mark.parametrize("words", ["fast"], indirect=True)
@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_texts_that_differ_in_case_alone_are_named(words, method):
    labels = ["one", "Two", "three", "tWO", "ONE"]
    batch = [{"owner": "x", "word": w, "label": w} for w in labels]

    answer = await words.request(method, "/labels/batch", json=batch)

    code = {"PUT": (422, "invalid"), "POST": (409, "duplicate")}[method]
    members = assert_problem(answer, *code)
    named = [(error["field"], error["index"]) for error in members["errors"]]
    assert named == [("label", 3), ("label", 4)]


def test_fields_that_are_not_unique_together_are_refused():
    class Wrong(Products):
        upsert = ("price",)

    with pytest.raises(Misconfigured, match="no unique constraint or index on price"):
        Wrong(None)


def test_fields_that_nobody_sends_are_refused():
    class Wrong(Products):
        upsert = ("id",)

    with pytest.raises(Misconfigured, match="which ProductCreate lacks"):
        Wrong(None)


def test_versions_and_upserts_do_not_go_together():
    class Wrong(Products):
        require_match = True

    with pytest.raises(Misconfigured, match="both upsert and require_match"):
        Wrong(None)


def test_a_constraint_that_is_checked_late_is_none():
    late = Table(
        "late",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("sku", Text),
        UniqueConstraint("sku", deferrable=True),
    )

    with pytest.raises(Misconfigured, match="no unique constraint or index on sku"):
        unique_where(late, [late.c.sku])
