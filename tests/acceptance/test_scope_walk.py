"""Every route of a scoped resource, walked as somebody else: 404, and no change.

The routes are the app's own. One that the walk does not know how to call fails it, so
a new route is walked, or says here why not.
"""

import asyncio
from itertools import count
from typing import Annotated

import pytest
from catalogue import assert_problem, client_of
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import ForeignKey, Text, literal_column, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from howdah import Resource, connect
from howdah.models import idempotency_table

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    pass


idempotency_table(Base.metadata)


class Folder(Base):
    __tablename__ = "folders"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    owner_id: Mapped[int]


class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text, unique=True)
    text: Mapped[str] = mapped_column(default="")
    owner_id: Mapped[int]
    is_active: Mapped[bool] = mapped_column(default=True)
    folder_id: Mapped[int | None] = mapped_column(ForeignKey("folders.id"))
    folder: Mapped[Folder | None] = relationship()


class FolderWrite(BaseModel):
    name: str


class FolderRead(BaseModel):
    id: int
    name: str


class NoteCreate(BaseModel):
    title: str = Field(max_length=50)
    text: str = ""
    folder_id: int | None = None


class NoteUpdate(BaseModel):
    title: str | None = None
    text: str | None = None
    owner_id: int | None = None
    folder_id: int | None = None


class NoteRead(BaseModel):
    id: int
    title: str
    text: str
    is_active: bool


ANN, BOB = {"user": "1"}, {"user": "2"}


async def current_user(user: Annotated[int | None, Header()] = None) -> int:
    if user is None:
        raise HTTPException(401, "who are you?")
    return user


CurrentUser = Annotated[int, Depends(current_user)]


class Folders(Resource[Folder]):
    create_schema = update_schema = FolderWrite
    read_schema = FolderRead

    def scope(self, user: CurrentUser):
        return Folder.owner_id == user


class Notes(Resource[Note]):
    create_schema = NoteCreate
    update_schema = NoteUpdate
    read_schema = NoteRead
    search = ("title", "text")
    filters = ("title", "text", "folder__name")
    sort = ("title",)
    soft_delete = "is_active"
    upsert = ("title",)
    include = {"folder": Folders}  # noqa: RUF012 - as people write it

    async def scope(self, user: CurrentUser):
        return Note.owner_id == user


class Lasting(Notes):
    """The same, with versions that have to be named."""

    require_match = True
    upsert = ()


@pytest.fixture
async def app(db):
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    app = FastAPI()
    connect(app, db)
    app.include_router(Notes(db).router(prefix="/notes"))
    app.include_router(Lasting(db).router(prefix="/lasting"))
    app.include_router(Folders(db).router(prefix="/folders"))
    return app


@pytest.fixture
async def client(app):
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def anns(client):
    """Three notes of Ann, the third one deleted, in a folder of hers."""
    folder = (await client.post("/folders/", json={"name": "f"}, headers=ANN)).json()
    for number in range(1, 4):
        note = {"title": f"Ann {number}", "folder_id": folder["id"]}
        made = await client.post("/notes/", json=note, headers=ANN)
        assert made.status_code == 201, made.text
    await client.delete("/notes/3", headers=ANN)


async def rows(db):
    """All there is, versions included."""
    found = {}
    async with db.engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            asked = select(table, literal_column("xmin::text, ctid::text"))
            found[table.name] = (await connection.execute(asked)).all()
    return found


NEW = count()


def title() -> str:
    return f"new {next(NEW)}"


HIDDEN = (404, "not_found")
REFUSED = (409, "duplicate")
# How each route is called to get at the notes 1 to 3 of Ann, and what Bob is answered.
# `None` stands for an answer without any row in it.
WALK = {
    ("GET", ""): [("", None, None)],
    ("GET", "/search"): [("?q=Ann", None, None)],
    ("POST", "/search"): [("", {"q": "Ann"}, None)],
    ("GET", "/count"): [("", None, {"total": 0})],
    ("GET", "/{}"): [("", None, HIDDEN)],
    ("PUT", "/{}"): [("", {"text": "x"}, HIDDEN), ("", {"owner_id": 2}, HIDDEN)],
    ("PATCH", "/{}"): [
        ("", {"text": "x"}, HIDDEN),
        ("", {"owner_id": 2}, HIDDEN),
        ("", {}, HIDDEN),
    ],
    ("DELETE", "/{}"): [("", None, HIDDEN), ("?hard_delete=true", None, HIDDEN)],
    ("POST", "/{}/restore"): [("", None, HIDDEN)],
    ("POST", ""): [("", {"title": "Ann 1"}, REFUSED)],
    ("PUT", ""): [("", {"title": "Ann 1", "text": "x"}, REFUSED)],
    ("POST", "/batch"): [("", [{"title": "b"}, {"title": "Ann 1"}], REFUSED)],
    ("PUT", "/batch"): [("", [{"title": "b"}, {"title": "Ann 1"}], REFUSED)],
    ("PATCH", "/batch"): [
        ("", [{"id": 1, "text": "x"}], HIDDEN),
        ("", [{"id": 3, "owner_id": 2}], HIDDEN),
    ],
    ("DELETE", "/batch"): [
        ("", [1], HIDDEN),
        ("?hard_delete=true", [1, 2, 3], HIDDEN),
        ("?id=1", None, HIDDEN),
    ],
}
CONDITIONS = [{}, {"if-match": '"1"'}, {"if-match": "*"}, {"if-none-match": "*"}]


def routes(app, prefix):
    """Every route of a resource, as the app tells of it: method and form of path."""
    for path, operations in app.openapi()["paths"].items():
        if path.startswith(prefix):
            form = path.removeprefix(prefix).rstrip("/")
            for name in [part for part in form.split("/") if part.startswith("{")]:
                form = form.replace(name, "{}")
            for method in operations:
                yield method.upper(), form


@pytest.mark.parametrize("prefix", ["/notes", "/lasting"])
async def test_every_route_hides_the_rows_of_others(app, client, anns, db, prefix):
    before = await rows(db)
    walked = list(routes(app, prefix))

    for method, form in walked:
        assert (method, form) in WALK, f"the walk does not know {method} {form}"
        for query, body, expected in WALK[method, form]:
            for key in (1, 2, 3) if "{}" in form else (0,):
                for condition in CONDITIONS:
                    if prefix == "/lasting" and "if-match" not in condition:
                        continue
                    path = f"{prefix}{form.format(key)}{query}"
                    answer = await client.request(
                        method, path, json=body, headers={**BOB, **condition}
                    )
                    assert_hidden(answer, expected)
                    assert await rows(db) == before, f"{method} {path} wrote"

    assert len(walked) >= 10


def assert_hidden(answer, expected):
    if isinstance(expected, tuple):
        assert_problem(answer, *expected)
        detail = answer.json()["detail"]
        assert "Ann" not in detail
        assert "owner" not in answer.text
    else:
        assert answer.status_code == 200, answer.text
        assert answer.json() == ([] if expected is None else expected)
        assert "link" not in answer.headers


async def test_what_is_not_there_answers_as_what_is_hidden(app, client, anns):
    for method, form in routes(app, "/notes"):
        if "{}" not in form and form != "/batch":
            continue
        for query, body, expected in WALK[method, form]:
            if expected != HIDDEN:
                continue
            answers = []
            for key in (1, 99):
                path = f"/notes{form.format(key)}{query.replace('id=1', f'id={key}')}"
                answer = await client.request(
                    method, path, json=of_row(body, key), headers=BOB
                )
                answers.append(answer.text.replace("99", "1"))
            assert answers[0] == answers[1]


def of_row(body, key):
    """The body of a request, a list of it about one row."""
    if not isinstance(body, list):
        return body
    return [{**body[0], "id": key}] if isinstance(body[0], dict) else [key]


async def test_every_route_asks_who_calls(app, client, anns, db):
    before = await rows(db)
    for prefix in ("/notes", "/folders"):
        for method, form in routes(app, prefix):
            for query, body, _ in WALK[method, form]:
                path = f"{prefix}{form.format(1)}{query}"
                answer = await client.request(method, path, json=body)
                assert answer.status_code == 401, f"{method} {path}: {answer.text}"

    assert await rows(db) == before


async def test_a_batch_with_a_row_of_somebody_else_changes_nothing(client, anns, db):
    mine = (await client.post("/notes/", json={"title": "Bob"}, headers=BOB)).json()
    before = await rows(db)

    for method, body in (
        ("PATCH", [{"id": mine["id"], "text": "x"}, {"id": 1, "text": "x"}]),
        ("DELETE", [mine["id"], 1]),
        ("DELETE", [1, mine["id"]]),
    ):
        answer = await client.request(method, "/notes/batch", json=body, headers=BOB)
        found = assert_problem(answer, 404, "not_found")
        (blamed,) = found["errors"]
        assert body[blamed["index"]] in (1, {"id": 1, "text": "x"})

    assert await rows(db) == before


async def test_a_row_becomes_nobody_elses(client, db):
    mine = (await client.post("/notes/", json={"title": "Bob"}, headers=BOB)).json()
    before = await rows(db)

    for method in ("PUT", "PATCH"):
        answer = await client.request(
            method, f"/notes/{mine['id']}", json={"owner_id": 1}, headers=BOB
        )
        assert_problem(answer, 403, "forbidden")
    answer = await client.request(
        "PATCH", "/notes/batch", json=[{"id": mine["id"], "owner_id": 1}], headers=BOB
    )
    assert_problem(answer, 403, "forbidden")
    answer = await client.post(
        "/notes/", json={"title": "x", "owner_id": 1}, headers=BOB
    )
    assert_problem(answer, 422, "invalid")

    assert await rows(db) == before
    same = await client.patch(f"/notes/{mine['id']}", json={"owner_id": 2}, headers=BOB)
    assert same.status_code == 200


async def test_new_rows_belong_to_who_makes_them(client, db):
    await client.post("/notes/", json={"title": "one"}, headers=BOB)
    batch = [{"title": "two"}, {"title": "three"}]
    await client.post("/notes/batch", json=batch, headers=ANN)

    async with db.engine.connect() as connection:
        found = (await connection.execute(select(Note.title, Note.owner_id))).all()
    assert dict(map(tuple, found)) == {"one": 2, "two": 1, "three": 1}


async def test_a_key_of_somebody_else_answers_nothing_of_theirs(client):
    once = {"idempotency-key": "k"}
    note = {"title": "secret", "text": "Ann's"}
    await client.post("/notes/", json=note, headers={**ANN, **once})

    answer = await client.post("/notes/", json=note, headers={**BOB, **once})
    other = {"title": "other"}
    fresh = await client.post("/notes/", json=other, headers={**BOB, **once})

    assert_problem(answer, 409, "duplicate")
    assert (fresh.status_code, fresh.json()["title"]) == (201, "other")


async def test_a_cursor_of_somebody_else_leads_to_own_rows_only(client, anns):
    await client.post("/notes/", json={"title": "Bob"}, headers=BOB)
    first = await client.get("/notes/?limit=1&sort=title", headers=ANN)

    path = first.links["next"]["url"]
    beyond = await client.get(path, headers=BOB)

    assert [row["title"] for row in beyond.json()] == ["Bob"]


async def test_related_rows_of_others_are_neither_embedded_nor_found(client, anns):
    note = {"title": "Bob", "folder_id": 1}
    mine = (await client.post("/notes/", json=note, headers=BOB)).json()

    for path, expected in (
        ("/notes/?include=folder", [{**mine, "folder": None}]),
        (f"/notes/{mine['id']}?include=folder", {**mine, "folder": None}),
        ("/notes/?folder__name=f", []),
        ("/notes/?folder__name__ne=x", []),
        ("/notes/count?folder__name=f", {"total": 0}),
    ):
        assert (await client.get(path, headers=BOB)).json() == expected
    own = (await client.get("/notes/1?include=folder", headers=ANN)).json()
    assert own["folder"] == {"id": 1, "name": "f"}
    found = (await client.get("/notes/?folder__name=f", headers=ANN)).json()
    assert [row["id"] for row in found] == [1, 2]


async def test_rows_are_put_by_their_owner(client, anns):
    put = await client.put("/notes/", json={"title": "Ann 1", "text": "x"}, headers=ANN)
    new = await client.put("/notes/", json={"title": "Ann 9"}, headers=ANN)
    many = [{"title": "Ann 1", "text": "y"}, {"title": "Ann 10"}]
    both = await client.put("/notes/batch", json=many, headers=ANN)

    assert (put.status_code, put.json()["text"]) == (200, "x")
    assert (new.status_code, both.status_code) == (201, 200)
    seen = (await client.get("/notes/count", headers=BOB)).json()
    assert seen == {"total": 0}


async def test_rows_are_not_lost_while_both_write(client, db):
    async def write(user, number):
        name = f"{user['user']} {number}"
        made = await client.post("/notes/", json={"title": name}, headers=user)
        key = made.json()["id"]
        for other, status in ((ANN, 200), (BOB, 200)):
            expected = status if other is user else 404
            answer = await client.patch(
                f"/notes/{key}", json={"text": other["user"]}, headers=other
            )
            assert answer.status_code == expected

    await asyncio.gather(*(write(u, n) for n in range(5) for u in (ANN, BOB)))

    async with db.engine.connect() as connection:
        query = select(Note.owner_id, Note.text)
        assert {tuple(row) for row in await connection.execute(query)} == {
            (1, "1"),
            (2, "2"),
        }


@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_a_batch_that_takes_a_value_of_others_says_which_row(
    client, anns, method
):
    keys = [
        (await client.post("/notes/", json={"title": t}, headers=BOB)).json()["id"]
        for t in ("b", "c")
    ]
    rows = [{"title": "d"}, {"title": "Ann 1"}]
    if method == "PATCH":
        rows = [{**row, "id": key} for row, key in zip(rows, keys, strict=True)]

    answer = await client.request(method, "/notes/batch", json=rows, headers=BOB)

    found = assert_problem(answer, 409, "duplicate")
    assert [e["index"] for e in found["errors"]] == [1]
    assert {e["field"] for e in found["errors"]} == {"title"}
