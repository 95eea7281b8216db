"""Pages that are read range by range of an index: each row once, in the order asked."""

import json
from itertools import product

import pytest
from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from howdah import Resource, statements
from howdah.fast import FastStore, Plan
from howdah.indexes import Indexes
from howdah.paging import KeysetPage, OffsetPage
from howdah.query import Query, Sort
from howdah.resource.declaration import read_layout

pytestmark = pytest.mark.anyio


class Ball(SQLModel, table=True):
    __tablename__ = "balls"
    __table_args__ = (
        Index("ix_balls_size", "size", "id"),
        Index("ix_balls_hue", "hue", "size"),
    )

    id: int | None = Field(default=None, primary_key=True)
    size: int
    hue: int | None
    weight: int | None = Field(index=True)
    age: int | None
    name: str


class Balls(Resource[Ball]):
    search = ("name",)
    sort = ("id", "size", "hue", "weight", "age")


FIELDS = ("size", "hue", "weight", "age")
ROWS = [
    {**dict(zip(FIELDS, values, strict=True)), "name": name}
    for values, name in zip(
        product((1, 2), (None, 1, 2), (None, 1, 2), (None, 1)),
        # All are balls, some are red, and of the last ones three are rare.
        ["ball", "red ball", "ball"] * 10 + ["ball", "rare red ball"] * 3,
        strict=True,
    )
]
ORDERS = [
    "id",
    "-id",
    "size",
    "-size",
    "hue",
    "-hue",
    "hue:nullsfirst",
    "-hue:nullsfirst",
    "weight",
    "-weight",
    "-weight:nullsfirst,size",
    "age,id",
    "size,-hue",
    "-hue,size,weight:nullsfirst",
    "hue,-size,-id",
    "weight,hue,-age",
    "hue,size,age",
]


@pytest.fixture
async def store(db):
    async with db.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all, [Ball.__table__])
    store = FastStore(db, read_layout(Balls), model="Ball")
    await store.create_many(ROWS)
    return store


def keys(found):
    return [row["id"] for row in json.loads(found.body)]


async def walks(store, query, limit):
    """Return the keys of a walk to the last page, and of the one back."""
    forth, page = [], KeysetPage(limit=limit)
    while True:
        found = await store.list(query, page)
        forth += keys(found)
        if not found.more:
            break
        page = KeysetPage(limit=limit, position=tuple(json.loads(found.last)))
    back = [keys(found)]
    while found.first is not None:
        position = tuple(json.loads(found.first))
        page = KeysetPage(limit=limit, position=position, direction="prev")
        found = await store.list(query, page)
        back.insert(0, keys(found))
    return forth, [key for page in back for key in page]


@pytest.mark.parametrize("sort", ORDERS)
async def test_a_walk_forth_and_back_meets_what_one_list_holds(store, sort):
    query = Query(sort=Sort.read(sort))
    everything = keys(await store.list(query, OffsetPage(limit=1000)))

    forth, back = await walks(store, query, 5)

    assert len(everything) == len(ROWS)
    assert forth == everything
    assert back == everything


@pytest.mark.parametrize("sort", ["id", "-id", "size", "-hue"])
@pytest.mark.parametrize(
    ("q", "rows"), [("ball", 36), ("red", 13), ("rare", 3), ("none", 0)]
)
async def test_a_walk_through_what_is_found_meets_all_of_it(store, q, rows, sort):
    query = Query(search=q, sort=Sort.read(sort))
    everything = keys(await store.list(query, OffsetPage(limit=1000)))

    forth, back = await walks(store, query, 2)

    assert len(everything) == rows
    assert forth == everything
    assert back == everything


@pytest.mark.parametrize(
    ("sort", "indexed", "ranges"),
    [
        ("size", 2, 1),
        ("-size", 2, 2),
        ("hue", 1, 2),
        ("hue,size", 2, 3),
        ("-hue,size,age", 2, 3),
        ("weight,hue", 1, 2),
        ("age", 0, 0),
    ],
)
def test_a_page_is_as_many_ranges_as_the_index_has_steps(sort, indexed, ranges):
    layout, query = read_layout(Balls), Query(sort=Sort.read(sort))
    parts = statements.order(layout, query)
    page = KeysetPage(position=(1,) * len(parts))

    plan = Plan.of(statements.list_rows(layout, query, page))

    assert Indexes(table=layout.table).order(*(p.column for p in parts)) == indexed
    assert plan.statement.count("FROM balls") == max(ranges, 1)
