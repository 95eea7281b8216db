"""Keys of several columns, and of text, over HTTP."""

import pytest
from catalogue import assert_problem, client_of
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import Column, Integer, MetaData, Table, Text
from sqlalchemy.orm import registry

from howdah import Database, Resource, connect

pytestmark = pytest.mark.anyio

mapped = registry(metadata=MetaData())
LINES = Table(
    "order_lines",
    mapped.metadata,
    Column("order", Text, primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("what", Text, nullable=False),
)


class Line:
    pass


mapped.map_imperatively(Line, LINES)


class LineCreate(BaseModel):
    order: str
    line: int
    what: str


class LineUpdate(BaseModel):
    what: str | None = None


class Lines(Resource[Line]):
    create_schema = LineCreate
    update_schema = LineUpdate
    read_schema = LineCreate
    sort = ("line",)


@pytest.fixture
async def client(database_url):
    db = Database(database_url)
    app = FastAPI()
    connect(app, db)
    app.include_router(Lines(db).router(prefix="/lines"))
    async with db:
        async with db.engine.begin() as connection:
            await connection.run_sync(mapped.metadata.create_all)
        async with client_of(app) as client:
            yield client


async def test_a_row_is_found_by_all_columns_of_its_key(client):
    line = {"order": "a/b c", "line": 1, "what": "tea"}

    created = await client.post("/lines/", json=line)
    place = created.headers["Location"]

    assert created.status_code == 201
    assert place == "/lines/a%2Fb%20c/1"
    await client.post("/lines/", json={**line, "order": "d"})
    found = await client.get("/lines/d/1")
    assert found.json()["order"] == "d"
    assert (await client.patch("/lines/d/1", json={"what": "jam"})).status_code == 200
    assert (await client.delete("/lines/d/1")).status_code == 204
    assert_problem(await client.get("/lines/d/1"), 404, "not_found")
    assert_problem(await client.get("/lines/d/2147483648"), 404, "not_found")


async def test_pages_follow_all_columns_of_the_key(client):
    rows = [{"order": o, "line": n, "what": "x"} for o in "ba" for n in (2, 1)]
    await client.post("/lines/batch", json=rows)

    answer = await client.get("/lines/?limit=3")
    rest = await client.get(answer.links["next"]["url"])

    keys = [(row["order"], row["line"]) for row in answer.json() + rest.json()]
    assert keys == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
