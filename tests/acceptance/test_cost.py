"""What pages and searches cost in a large table, as PostgreSQL counts it: in buffers.

Time would be that of the machine; buffers are those of the plan. The statements are
those that the store sends, with their arguments.
"""

import json

import pytest
from sqlalchemy import Index, text
from sqlalchemy.schema import CreateTable
from sqlmodel import Field, SQLModel

from howdah import Resource
from howdah.fast import FastStore
from howdah.paging import KeysetPage, OffsetPage
from howdah.query import Query, Sort
from howdah.resource.declaration import read_layout
from howdah.search import FullText, search_vector, trigram_index

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

PAGE = 20


class Sale(SQLModel, table=True):
    """A column for each kind of index: of many values, of few, with NULLs, mixed."""

    __tablename__ = "sales"
    __table_args__ = (
        Index("ix_sales_stars", "stars", "id"),
        Index("ix_sales_tax", "tax", "id"),
        Index("ix_sales_mixed", text("day DESC"), "price", "id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    price: int = Field(index=True)
    stars: int
    tax: int | None
    note: int | None = Field(index=True)
    day: int


class Sales(Resource[Sale]):
    sort = ("id", "price", "stars", "tax", "note", "day")


# Two thirds of the rows have a tax; of notes there are as good as none.
SALES = """
INSERT INTO sales (price, stars, tax, note, day)
SELECT n * 7919::bigint % 500009, n % 5, CASE WHEN n % 3 > 0 THEN n % 100 END,
    CASE WHEN n % 1000 = 0 THEN n END, n % 365 FROM generate_series(1, 1000000) n
"""


class Explained(FastStore):
    """A store that tells what its last read has cost."""

    async def _send(self, plan, arguments):
        explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {plan.statement}"
        self.plans = []
        # PostgreSQL makes plans of its own for the values, or one for any.
        for mode in ("custom", "generic"):
            async with self._database.lane.connection() as connection:
                await connection.execute(f"SET plan_cache_mode = force_{mode}_plan")
                row = await connection.fetchrow(explained, *arguments)
                await connection.execute("RESET plan_cache_mode")
            self.plans.append(json.loads(row[0])[0]["Plan"])
        return await super()._send(plan, arguments)

    async def cost(self, query, page):
        """Return what a page costs, at worst, however PostgreSQL plans it."""
        found = await self.list(query, page)
        return max(buffers(plan) for plan in self.plans), found


def buffers(plan):
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def nodes(plan):
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


async def made(db, resource, *statements):
    """Make a table, fill it and then index it, which is fastest; give its store."""
    table = resource.model.__table__
    async with db.engine.begin() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(CreateTable(table))
        await connection.execute(text(f"ALTER TABLE {table.name} SET UNLOGGED"))
        for statement in statements:
            await connection.execute(text(statement))
        for index in table.indexes:
            await connection.run_sync(index.create)
    await db.lane.fetchrow(f"VACUUM ANALYZE {table.name}")
    return Explained(db, read_layout(resource), model=resource.__name__)


async def test_page_10_000_of_a_million_rows_costs_what_page_1_does(db):
    store = await made(db, Sales, SALES)

    costs = {}
    for sort, skip in ORDERS:
        query = Query(sort=Sort.read(sort))
        first, _ = await store.cost(query, KeysetPage(limit=PAGE))
        position = await place(db, query, skip)
        for direction in ("next", "prev"):
            page = KeysetPage(limit=PAGE, position=position, direction=direction)
            cost, found = await store.cost(query, page)
            costs[sort, skip, direction] = (first, cost)
            assert found.more

    assert {at: c for at, c in costs.items() if c[1] > 2 * c[0] + 40} == {}, costs
    assert {at: c for at, c in costs.items() if max(c) > 5 * PAGE} == {}, costs


FAR = PAGE * 10_000
# Each order is served by an index, if not by all of its columns; those with NULLs are
# looked at among the rows that have a value, and among those that have none.
ORDERS = (
    ("id", FAR),
    ("-id", FAR),
    ("price", FAR),
    ("-price", FAR),
    ("stars", FAR),
    ("-stars,-id", FAR),
    ("tax", FAR),
    ("tax", 4 * FAR),
    ("-tax,-id", FAR),
    ("-tax,-id", 4 * FAR),
    ("tax:nullsfirst", 4 * FAR),
    ("note", FAR),
    ("-note", 500),
    ("-day,price", FAR),
)


async def place(db, query, skip):
    """Return the position of the row behind so many others."""
    store = FastStore(db, read_layout(Sales), model="Sale")
    found = await store.list(query, OffsetPage(skip=skip, limit=1))
    return tuple(json.loads(found.last))


@search_vector("name", "text", language="english")
class Letter(SQLModel, table=True):
    __tablename__ = "letters"
    __table_args__ = (trigram_index("ix_letters_search", "name", "text"),)

    id: int | None = Field(default=None, primary_key=True)
    name: str
    text: str | None
    is_active: bool = True


class Letters(Resource[Letter]):
    search = ("name", "text")
    soft_delete = "is_active"
    sort = ("id", "name")


class LettersByWords(Letters):
    search = FullText()


# All are common, some are friendly, and one in two hundred thousand is rare.
LETTERS = """
INSERT INTO letters (name, text, is_active)
SELECT 'common ' || n % 977,
    CASE WHEN n % 10 > 0 THEN CASE WHEN n % 400 = 1 THEN 'friendly ' ELSE 'plain ' END
        || CASE WHEN n = 190001 THEN 'xylophone' ELSE chr(97 + n % 26) END END,
    n % 20 > 0
FROM generate_series(1, 200000) n
"""


async def test_searches_use_their_indexes_whatever_is_planned(db):
    store = await made(db, Letters, LETTERS)
    words = Explained(db, read_layout(LettersByWords), model="Letter")
    pages = await db.lane.fetchval("SELECT pg_relation_size('letters') / 8192")

    for searching, index in (
        (store, "ix_letters_search"),
        (words, "ix_letters_search_vector"),
    ):
        for sort in ("", "-id", "name"):
            order = Sort.read(sort) if sort else ()
            for q, rows, most in (("xylophone", 1, 100), ("friendly", PAGE, pages)):
                query = Query(search=q, sort=order)
                cost, found = await searching.cost(query, KeysetPage(limit=PAGE))

                assert uses(searching, index), (index, sort, q)
                assert cost < most, (index, sort, q)
                assert len(json.loads(found.body)) == rows
        if searching is store:
            cost, _ = await store.cost(Query(search="common"), KeysetPage(limit=PAGE))
            assert cost < 100, "what many rows have is found without looking at all"
        await searching.count(Query(search="xylophone"))
        assert uses(searching, index)


def uses(store, index):
    """Whether each of the plans finds rows by the index."""
    return all(
        any(
            node["Node Type"] == "Bitmap Index Scan" and node["Index Name"] == index
            for node in nodes(plan)
        )
        for plan in store.plans
    )
