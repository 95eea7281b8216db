"""A walk over pages: what a page costs, and what it meets while others write."""

import asyncio
import json
from itertools import count

import pytest
from catalogue import (
    Category,
    CategoryCreate,
    CategoryRead,
    CategoryUpdate,
    client_of,
    create_tables,
)
from fastapi import FastAPI

from howdah import Resource, connect, statements
from howdah.fast import Plan
from howdah.paging import KeysetPage
from howdah.query import Query, Sort
from howdah.resource.declaration import read_layout

pytestmark = pytest.mark.anyio


class Walked(Resource[Category]):
    create_schema = CategoryCreate
    update_schema = CategoryUpdate
    read_schema = CategoryRead
    sort = ("id", "name")


@pytest.fixture
async def client(db):
    await create_tables(db)
    app = FastAPI()
    connect(app, db)
    app.include_router(Walked(db).router(prefix="/categories"))
    async with client_of(app) as client:
        yield client


async def buffers(db, query, position):
    """Return how many buffers a page's statement touches."""
    page = KeysetPage(limit=20, position=position)
    plan = Plan.of(statements.list_rows(read_layout(Walked), query, page))
    given = {"limit": 20}
    if position is not None:
        given |= {statements.position_name(n): v for n, v in enumerate(position)}
    explained = await db.lane.fetchrow(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {plan.statement}",
        plan.arguments(given),
    )
    top = json.loads(explained[0])[0]["Plan"]
    return top["Shared Hit Blocks"] + top["Shared Read Blocks"]


@pytest.mark.parametrize("descending", [False, True])
async def test_the_thousandth_page_costs_what_the_first_does(db, client, descending):
    await db.lane.fetchrow(
        "INSERT INTO categories (name) SELECT 'n' || n FROM generate_series(1, 20000) n"
    )
    await db.lane.fetchrow("ANALYZE categories")
    query = Query(sort=(Sort(field="id", descending=descending),))

    first = await buffers(db, query, None)
    last = await buffers(db, query, (20 if descending else 19_980,))

    assert last <= first + 3
    assert last < 20


@pytest.mark.parametrize("sort", ["id", "-id", "name", "-name"])
async def test_a_walk_meets_each_row_that_stays_once_while_others_write(client, sort):
    rows = [{"name": f"{n:03}"} for n in range(ROWS)]
    created = (await client.post("/categories/batch", json=rows)).json()
    keys = [row["id"] for row in created]
    going = [key for key in keys if key % 3 == 0]
    writers = others(client, going, keys)
    met = []

    path = f"/categories/?limit=7&sort={sort}"
    while path:
        response, _ = await asyncio.gather(client.get(path), next(writers))
        met += [row["id"] for row in response.json()]
        path = response.links.get("next", {}).get("url")

    assert len(met) == len(set(met))
    assert set(keys).difference(going) <= set(met)
    assert not set(met).issuperset(going), "nothing was deleted ahead of the walk"


ROWS = 200


def others(client, going, keys):
    """Yield writers for one page each: rows come, change and go at both ends."""
    ends = zip(going, reversed(going), strict=True)
    for turn in count():
        deleted = next(ends, ())
        yield asyncio.gather(
            *(client.delete(f"/categories/{key}") for key in deleted),
            *(create(client, f"{end}-{turn}") for end in ("!", "~")),
            # The same row in the same place of the order, in another version.
            *(touch(client, key) for key in (keys[turn], keys[-turn], 100)),
        )


async def create(client, name):
    response = await client.post("/categories/", json={"name": name})
    assert response.status_code == 201


async def touch(client, key):
    response = await client.patch(f"/categories/{key}", json={"name": f"{key - 1:03}"})
    assert response.status_code in {200, 404}
