"""Versions over HTTP: who changes a row says which one, and bodies say what they mean.

One row and fifty clients at once, on a real PostgreSQL: no update is lost.
"""

import asyncio
from datetime import datetime

import pytest
from catalogue import (
    NOTEBOOK,
    Categories,
    Item,
    ItemCreate,
    ItemRead,
    Items,
    ItemUpdate,
    assert_problem,
    client_of,
    create_tables,
)
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from sqlmodel import Field, SQLModel

from howdah import Resource, connect

pytestmark = pytest.mark.anyio


class Note(SQLModel, table=True):
    __tablename__ = "notes_with_a_moment"

    id: int | None = Field(default=None, primary_key=True)
    text: str
    deleted_at: datetime | None = Field(default=None)


class NoteWrite(BaseModel):
    text: str


class NoteRead(BaseModel):
    id: int
    text: str


class Notes(Resource[Note]):
    create_schema = NoteWrite
    update_schema = NoteWrite
    read_schema = NoteRead
    soft_delete = "deleted_at"


class Careful(Items):
    require_match = True


class Lenient(ItemCreate):
    model_config = ConfigDict(extra="ignore")


class Leniently(Resource[Item]):
    create_schema = Lenient
    update_schema = ItemUpdate
    read_schema = ItemRead


@pytest.fixture(scope="module")
def app(closed_db):
    app = FastAPI()
    connect(app, closed_db)
    for resource, prefix in [
        (Items, "/items"),
        (Careful, "/careful"),
        (Leniently, "/lenient"),
        (Categories, "/categories"),
        (Notes, "/notes"),
    ]:
        app.include_router(resource(closed_db).router(prefix=prefix))
    return app


@pytest.fixture
async def client(app, db):
    """A client of one item, one category and one note."""
    await create_tables(db)
    async with db.engine.begin() as connection:
        await connection.run_sync(Note.__table__.create)
    async with client_of(app) as client:
        await client.post("/items/", json=NOTEBOOK)
        await client.post("/notes/", json={"text": "first"})
        yield client


async def tag_of(client, path="/items/1"):
    return (await client.get(path)).headers["etag"]


STALE = '"0"'
CHANGES = [
    pytest.param("PUT", "/items/1", {"price": 5}, id="put"),
    pytest.param("PATCH", "/items/1", {"price": 5}, id="patch"),
    pytest.param("PATCH", "/items/1", {}, id="patch of nothing"),
    pytest.param("DELETE", "/items/1", None, id="delete"),
    pytest.param("DELETE", "/items/1?hard_delete=true", None, id="hard delete"),
    pytest.param("POST", "/items/1/restore", None, id="restore"),
]


async def test_every_answer_of_one_row_has_the_tag_of_its_version(client):
    created = await client.post("/items/", json=NOTEBOOK)
    got = await client.get("/items/2")
    changed = await client.patch("/items/2", json={"price": 5})
    seen = await client.get("/items/2")
    await client.delete("/items/2")
    restored = await client.post("/items/2/restore")
    back = await client.get("/items/2")

    assert created.headers["etag"] == got.headers["etag"]
    assert changed.headers["etag"] == seen.headers["etag"] != got.headers["etag"]
    assert restored.headers["etag"] == back.headers["etag"] != seen.headers["etag"]


@pytest.mark.parametrize("form", ["{0}", '"0", {0}', "W/{0}", '"a,b",W/{0} , "c"', "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_version_that_is_known_is_not_sent_again(client, form, method):
    tag = await tag_of(client)

    response = await client.request(
        method, "/items/1", headers={"If-None-Match": form.format(tag)}
    )

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == tag
    assert "content-type" not in response.headers


@pytest.mark.parametrize("form", ['"0"', "W/{0}0", "", "none", '"{0}'])
async def test_a_version_that_is_not_known_is_sent(client, form):
    known = form.format((await tag_of(client)).strip('"') + "0")

    response = await client.get("/items/1", headers={"If-None-Match": known})

    assert response.status_code == 200
    assert response.json()["name"] == "notebook"


async def test_an_absent_row_is_404_whatever_is_known(client):
    response = await client.get("/items/9", headers={"If-None-Match": "*"})

    assert_problem(response, 404, "not_found")


@pytest.mark.parametrize("form", [STALE, "W/{0}", "", "nonsense", '"x", W/{0}'])
@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
async def test_a_change_of_another_version_is_refused(client, method, path, body, form):
    before = await client.get("/items/1")
    given = form.format(before.headers["etag"])

    response = await client.request(
        method, path, json=body, headers={"If-Match": given}
    )

    assert_problem(response, 412, "stale")
    after = await client.get("/items/1")
    assert (after.content, after.headers["etag"]) == (
        before.content,
        before.headers["etag"],
    )


@pytest.mark.parametrize("form", ["{0}", '"0", {0}', "*"])
@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
async def test_a_change_of_this_version_is_made(client, method, path, body, form):
    tag = await tag_of(client)

    response = await client.request(
        method, path, json=body, headers={"If-Match": form.format(tag)}
    )

    assert response.status_code == (204 if method == "DELETE" else 200)
    if body:
        assert response.headers["etag"] != tag
        assert response.json()["price"] == 5


async def test_a_tag_may_come_in_any_line_of_the_header(client):
    tag = await tag_of(client)
    lines = [("If-Match", STALE), ("If-Match", tag)]

    response = await client.patch("/items/1", json={"price": 5}, headers=lines)

    assert response.status_code == 200


async def test_a_tag_is_good_for_one_change(client):
    headers = {"If-Match": await tag_of(client)}
    await client.patch("/items/1", json={"price": 5}, headers=headers)

    again = await client.patch("/items/1", json={"price": 6}, headers=headers)

    assert_problem(again, 412, "stale")
    assert (await client.get("/items/1")).json()["price"] == 5


@pytest.mark.parametrize("given", [STALE, "*"])
@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
async def test_an_absent_row_is_404_whatever_matches(client, method, path, body, given):
    absent = path.replace("/1", "/9")

    response = await client.request(
        method, absent, json=body, headers={"If-Match": given}
    )

    assert_problem(response, 404, "not_found")


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
async def test_a_resource_may_require_a_version(client, method, path, body):
    path = path.replace("items", "careful")
    tag = await tag_of(client)

    refused = await client.request(method, path, json=body)
    made = await client.request(method, path, json=body, headers={"If-Match": tag})

    assert_problem(refused, 428, "precondition_required")
    assert made.status_code in {200, 204}


@pytest.mark.parametrize("path", ["/items/", "/items/search?q=n", "/items/count"])
async def test_lists_have_no_tag(client, path):
    assert "etag" not in (await client.get(path)).headers


CLIENTS = 50


async def test_of_many_changes_of_one_version_exactly_one_is_made(client):
    tag = await tag_of(client)

    async def change(number):
        return await client.patch(
            "/items/1", json={"price": number}, headers={"If-Match": tag}
        )

    answers = await asyncio.gather(*map(change, range(1, CLIENTS + 1)))

    made = [answer for answer in answers if answer.status_code == 200]
    assert len(made) == 1
    assert [a.status_code for a in answers].count(412) == CLIENTS - 1
    kept = await client.get("/items/1")
    assert (kept.content, kept.headers["etag"]) == (
        made[0].content,
        made[0].headers["etag"],
    )


async def test_of_many_clients_that_read_and_add_none_loses_its_update(client):
    await client.patch("/items/1", json={"price": 1})

    async def add(_):
        refused = 0
        while True:
            seen = await client.get("/items/1")
            response = await client.patch(
                "/items/1",
                json={"price": seen.json()["price"] + 1},
                headers={"If-Match": seen.headers["etag"]},
            )
            if response.status_code == 200:
                return seen.headers["etag"], refused
            assert_problem(response, 412, "stale")
            refused += 1

    done = await asyncio.gather(*map(add, range(CLIENTS)))

    assert (await client.get("/items/1")).json()["price"] == 1 + CLIENTS
    assert len({version for version, _ in done}) == CLIENTS
    assert sum(refused for _, refused in done) > 0


async def test_of_many_creations_of_one_unique_value_exactly_one_is_made(client):
    async def create(_):
        return await client.post("/categories/", json={"name": "Rock"})

    answers = await asyncio.gather(*map(create, range(CLIENTS)))

    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(201), statuses.count(409)) == (1, CLIENTS - 1)
    assert (await client.get("/categories/count")).json() == {"total": 1}


async def test_an_inactive_row_is_restored(client):
    await client.delete("/items/1")

    response = await client.post("/items/1/restore")

    assert response.status_code == 200
    assert response.json()["is_active"] is True
    assert [row["id"] for row in (await client.get("/items/")).json()] == [1]


async def test_a_row_with_a_moment_of_deletion_is_restored(client):
    await client.delete("/notes/1")
    assert_problem(await client.get("/notes/1"), 404, "not_found")

    response = await client.post("/notes/1/restore")

    assert (response.status_code, response.json()) == (200, {"id": 1, "text": "first"})
    assert (await client.get("/notes/1")).json() == response.json()


async def test_restoring_a_deleted_row_of_another_version_is_refused(client):
    await client.delete("/notes/1")

    response = await client.post("/notes/1/restore", headers={"If-Match": STALE})

    assert_problem(response, 412, "stale")
    assert (await client.get("/notes/1")).status_code == 404


@pytest.mark.parametrize("path", ["/items/9", "/items/99999999999", "/notes/9"])
async def test_an_absent_row_cannot_be_restored(client, path):
    response = await client.post(f"{path}/restore")

    assert_problem(response, 404, "not_found")


async def test_a_resource_without_soft_delete_restores_nothing(client):
    response = await client.post("/categories/1/restore")

    assert response.status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "index"),
    [
        ("POST", "/items/", {**NOTEBOOK, "colour": "red"}, None),
        ("PUT", "/items/1", {"colour": "red"}, None),
        ("PATCH", "/items/1", {"price": 5, "colour": None}, None),
        ("POST", "/items/batch", [NOTEBOOK, {**NOTEBOOK, "colour": "red"}], 1),
    ],
)
async def test_a_field_that_is_not_known_is_refused_by_name(
    client, method, path, body, index
):
    before = await client.get("/items/")

    response = await client.request(method, path, json=body)

    members = assert_problem(response, 422, "invalid")
    assert [(e["field"], e.get("index")) for e in members["errors"]] == [
        ("colour", index)
    ]
    assert (await client.get("/items/")).content == before.content


async def test_a_schema_that_says_what_becomes_of_others_is_left_alone(client):
    response = await client.post("/lenient/", json={**NOTEBOOK, "colour": "red"})

    assert response.status_code == 201
    assert "colour" not in response.json()
