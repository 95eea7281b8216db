"""What a repository is asked: filters, order, pages, streams, sums; in both doors."""

import asyncio
from decimal import Decimal

import pytest
from catalogue import Category, Item, create_tables
from pydantic import BaseModel
from sqlalchemy import Index, String, func, inspect, text
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    joinedload,
    mapped_column,
    selectinload,
)

from howdah import Database, Repository, TimestampColumns
from howdah.errors import Duplicate, Misconfigured, NotFound
from howdah.events import StatementFinished
from howdah.paging import KeysetPage
from howdah.query import Sort
from howdah.repository import SyncRepository
from howdah.search import FullText, search_vector

pytestmark = pytest.mark.anyio

ROWS = [("a", 5, None), ("b", 3, 1), ("c", 3, 2), ("d", 1, None), ("e%", 9, 2)]


class Base(DeclarativeBase):
    pass


class Part(TimestampColumns, Base):
    __tablename__ = "parts"
    __table_args__ = (
        Index(
            "parts_sku_active",
            "sku",
            unique=True,
            postgresql_where=text("retired_in IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column("the_code", String(9), unique=True)
    sku: Mapped[str | None]
    stock: Mapped[int] = mapped_column(default=0)
    retired_in: Mapped[int | None]


@search_vector("title", language="english")
class Essay(Base):
    __tablename__ = "essays"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class Essays(Repository[Essay]):
    search_in = FullText()


class Items(Repository[Item]):
    search_in = ("name", "description")


class Parts(Repository[Part]):
    pass


class NothingSet(BaseModel):
    price: int = 0


class SyncItems(SyncRepository[Item]):
    search_in = ("name",)


class SyncParts(SyncRepository[Part]):
    pass


@pytest.fixture
async def db(database_url):
    async with Database(database_url) as db:
        await create_tables(db)
        async with db.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with db.transaction() as session:
            session.add_all([Category(id=1, name="Rock"), Category(id=2, name="Jazz")])
            await session.flush()
            rows = [Item(name=n, price=p, category_id=c) for n, p, c in ROWS]
            session.add_all(rows)
        yield db


@pytest.fixture
async def session(db):
    async with db.transaction() as session:
        yield session


def names(rows):
    return [row.name for row in rows]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"name": "a"}, "a"),
        ({"price__gte": 3, "price__lt": Decimal(9)}, "abc"),
        ({"name__in": ["a", "d", "x"]}, "ad"),
        ({"name__not_in": ["a", "d"]}, "bce"),
        ({"name__endswith": "%"}, "e"),
        ({"category_id__isnull": True}, "ad"),
        ({"price__between": (3, 5)}, "abc"),
        ({"category__name": "Jazz"}, "ce"),
        ({"category__name__istartswith": "ro"}, "b"),
        ({}, "abcde"),
    ],
)
async def test_filters_are_those_of_urls(session, filters, found):
    items = Items(session)

    rows = await items.list(filters=filters)

    assert "".join(name[0] for name in names(rows)) == found
    assert await items.count(filters=filters) == len(found)
    assert await items.exists(filters=filters)


async def test_filters_and_conditions_are_met_together(session):
    rows = await Items(session).list(Item.price > 2, filters={"category_id": 2})

    assert names(rows) == ["c", "e%"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"filters": {"nam": "a"}}, "filters names 'nam'.*did you mean name"),
        ({"filters": {"category__nam": "a"}}, "filters names 'category__nam'"),
        ({"filters": {"price__over": 1}}, "filters names 'price__over'"),
        ({"sort": "-prize"}, "sort names 'prize'.*did you mean price"),
    ],
)
async def test_what_a_model_has_not_cannot_be_asked(session, asked, message):
    with pytest.raises(Misconfigured, match=message):
        await Items(session).list(**asked)


@pytest.mark.parametrize(
    "sort",
    ["", "-price", "category_id,-name", "-category_id:nullsfirst", "price,-id"],
)
async def test_pages_go_forth_and_back_over_any_order(session, sort):
    items = Items(session)
    whole = await items.list(sort=sort)

    page, there = KeysetPage(limit=2), []
    while rows := await items.list(sort=sort, page=page):
        there += rows
        page = items.after(rows[-1], sort=sort, limit=2)
    page, back = items.before(whole[-1], sort=sort, limit=2), []
    while rows := await items.list(sort=sort, page=page):
        back = rows + back
        page = items.before(rows[0], sort=sort, limit=2)

    assert there == whole
    assert back == whole[:-1]


async def test_an_order_may_be_given_as_objects(session):
    order = [Sort(field="category_id", nulls_first=True), Sort(field="name")]

    assert names(await Items(session).list(sort=order)) == ["a", "d", "b", "c", "e%"]


async def test_a_stream_holds_a_batch_at_a_time(db, session):
    await session.exec(text("DELETE FROM items"))
    insert = "INSERT INTO items (name, price, is_active) SELECT n, 1, true FROM {}"
    many = "generate_series(1, 2000) AS n"
    await session.exec(text(insert.format(many)))
    items, seen, most = Items(session), 0, 0

    async for row in items.stream(filters={"price": 1}, sort="-id", batch=100):
        seen += 1
        most = max(most, len(session.identity_map))
        last = row

    assert (seen, last.name) == (2000, "1")
    assert most <= 201


async def test_rows_are_summed_and_grouped(session):
    items = Items(session)

    assert await items.sum(Item.price) == 21
    assert await items.sum(Item.price, Item.price > 100) == 0
    groups = await items.aggregate(
        by=[Item.category_id],
        having=[func.count() > 1],
        order_by=[Item.category_id],
        rows=func.count(),
        dearest=func.max(Item.price),
    )
    assert [tuple(g) for g in groups] == [(2, 2, 9), (None, 2, 5)]
    assert (groups[0].rows, groups[0].category_id) == (2, 2)


async def test_an_aggregate_of_nothing_is_refused(session):
    with pytest.raises(Misconfigured, match="computes nothing"):
        await Items(session).aggregate(by=[Item.name])


async def test_the_way_out_is_a_plain_select(session):
    items = Items(session)

    statement = items.select(filters={"category__name": "Jazz"}).order_by(Item.price)
    rows = await items.fetch(statement.limit(1))

    assert names(rows) == ["c"]


async def test_a_select_may_be_part_of_another(session):
    items = Items(session)
    dear = items.select(filters={"price__gt": 4}).with_only_columns(Item.id)

    assert names(await items.list(Item.id.in_(dear), filters={"price__lt": 9})) == ["a"]


async def test_rows_with_moments_are_created_in_one_statement(session, statements, db):
    seen = statements(db)

    parts = await Parts(session).create_many([{"code": f"{n}"} for n in range(5)])
    items = await Items(session).create_many([{"name": "x", "price": 1}] * 5)

    assert len(seen) == 2
    assert {each.updated_at for each in (*parts, *items)} == {None}
    assert None not in {each.created_at for each in (*parts, *items)}


async def test_an_upsert_inserts_then_changes_what_was_set(db):
    async with db.transaction() as session:
        new = await Parts(session).upsert({"code": "x", "stock": 1}, on=["code"])
        assert (new.id, new.stock, new.updated_at) == (1, 1, None)

    async with db.transaction() as session:
        old = await Parts(session).upsert({"code": "x", "sku": "s"}, on=["code"])

    assert (old.id, old.stock, old.sku) == (1, 1, "s")
    assert old.updated_at is not None
    assert old.created_at == new.created_at


async def test_an_upsert_shows_in_a_row_that_the_session_knows(session):
    parts = Parts(session)
    known = await parts.create({"code": "x", "stock": 1})

    changed = await parts.upsert({"code": "x", "stock": 2}, on=["code"])

    assert changed is known
    assert known.stock == 2


async def test_an_upsert_knows_partial_indexes(session):
    parts = Parts(session)
    await parts.create({"code": "old", "sku": "s", "retired_in": 1999})

    rows = [{"code": "new", "sku": "s"}, {"code": "other", "sku": "t"}]
    await parts.upsert_many(rows, on=["sku"])
    await parts.upsert_many([{**row, "stock": 7} for row in rows], on=["sku"])

    found = await parts.list(sort="code")
    stocks = [(row.code, row.stock) for row in found]
    assert stocks == [("new", 7), ("old", 0), ("other", 7)]


async def test_an_upsert_needs_a_unique_key(session):
    parts = Parts(session)

    with pytest.raises(Misconfigured, match="no unique constraint or index on stock"):
        await parts.upsert({"stock": 1}, on=["stock"])
    with pytest.raises(Misconfigured, match="Part has no stok"):
        await parts.upsert({"stok": 1}, on=["code"])
    with pytest.raises(Misconfigured, match="set different fields"):
        await parts.upsert_many([{"code": "a"}, {"code": "b", "stock": 1}], on=["code"])
    assert await parts.upsert_many([], on=["code"]) == []


async def test_upserts_in_a_race_make_one_row(db):
    async def upsert(number):
        async with db.transaction() as session:
            await Parts(session).upsert({"code": "x", "stock": number}, on=["code"])

    await asyncio.gather(*(upsert(n) for n in range(8)))

    async with db.transaction() as session:
        assert await Parts(session).count() == 1


async def test_many_rows_are_deleted_by_a_condition(session):
    items = Items(session)

    assert await items.delete_many(filters={"price": 3}) == 2
    assert names(await items.list()) == ["a", "d", "e%"]
    with pytest.raises(Misconfigured, match="no condition"):
        await items.delete_many()


async def test_many_rows_are_changed_by_a_condition(session):
    items = Items(session)
    known = await items.first(filters={"name": "b"})

    assert await items.update_many({"price": 7}, filters={"price": 3}) == 2
    assert (known.price, known.updated_at is not None) == (7, True)
    changed = {"name": func.upper(Item.name)}
    assert await items.update_many(changed, filters={"category__name": "Rock"}) == 1
    assert await items.update_many({"price": 8}, func.lower(Item.name) == "b") == 1
    assert (known.name, known.price) == ("B", 8)
    assert await items.update_many(NothingSet(), Item.price > 1) == 0
    assert await items.update_many({}, Item.price > 1) == 0
    assert await items.update_many({"price": 1}, Item.price > 100) == 0
    with pytest.raises(Misconfigured, match="no condition"):
        await items.update_many({"price": 1})
    with pytest.raises(Misconfigured, match="has no prise"):
        await items.update_many({"prise": 1}, Item.price > 1)


async def test_the_first_row_is_found_or_nobody(session):
    items = Items(session)

    row = await items.first(Item.price >= 3, filters={"category_id": 2}, sort="-price")

    assert row.name == "e%"
    assert (await items.get_first(filters={"price": 3}, sort="-name")).name == "c"
    assert await items.first(Item.price > 100) is None
    with pytest.raises(NotFound, match="Item not found"):
        await items.get_first(Item.price > 100)


async def test_the_first_row_is_found_or_nobody_without_await(db):
    with db.sync_session() as session:
        items = SyncItems(session)

        assert items.get_first(filters={"price": 3}, sort="-name").name == "c"
        with pytest.raises(NotFound, match="Item not found"):
            items.get_first(Item.price > 100)


async def test_each_verb_is_one_statement(db):
    statements = []
    db.listen(
        lambda event: (
            statements.append(event) if isinstance(event, StatementFinished) else None
        )
    )
    async with db.transaction() as session:
        items = Items(session)
        verbs = [
            items.list(filters={"category__name": "Jazz"}, sort="-price"),
            items.count(filters={"price__gt": 2}),
            items.sum(Item.price),
            items.aggregate(by=[Item.category_id], rows=func.count()),
            items.first(filters={"name": "a"}),
            items.update_many({"price": 1}, Item.price > 100),
            items.delete_many(Item.price > 100),
            Parts(session).upsert_many([{"code": str(n)} for n in range(9)], on="code"),
        ]
        for verb in verbs:
            statements.clear()
            await verb

            assert len(statements) == 1, [s.statement for s in statements]


def test_the_sync_door_has_every_verb():
    verbs = {name for name in vars(Repository) if not name.startswith("_")}

    assert verbs == {name for name in vars(SyncRepository) if not name.startswith("_")}


async def test_the_sync_door_does_the_same(db, database_url):
    def work():
        sync = Database(database_url)
        with sync.sync_session() as session:
            items, parts = SyncItems(session), SyncParts(session)
            asked = {"category__name": "Jazz", "price__in": [3, 9]}
            row = items.create({"name": "f", "price": 2})
            assert items.get(row.id) is items.find(row.id)
            assert items.update(row.id, {"price": 4}).price == 4
            with pytest.raises(NotFound, match="Item ID 77 not found"):
                items.get(77)
            assert names(items.list(filters=asked, sort="-price")) == ["e%", "c"]
            page = items.before(row, limit=2)
            assert names(items.list(page=page)) == ["d", "e%"]
            assert names(items.stream(sort="-name", batch=2)) == [
                "f",
                "e%",
                "d",
                "c",
                "b",
                "a",
            ]
            assert items.count(Item.price > 3) == 3
            assert items.exists(filters={"name": "f"})
            assert items.sum(Item.price) == 25
            (group,) = items.aggregate(rows=func.count())
            assert group.rows == 6
            items.delete(row.id)
            assert items.first(filters={"name__in": "bc"}, sort="-name").name == "c"
            assert items.first(Item.price > 100) is None
            assert items.update_many({"price": 5}, filters={"name": "a"}) == 1
            assert items.update_many({}, filters={"name": "a"}) == 0
            assert items.delete_many(filters={"name": "a", "price": 5}) == 1
            first = parts.upsert({"code": "x"}, on=["code"])
            assert parts.upsert({"code": "x", "stock": 3}, on=["code"]) is first
            assert parts.upsert_many([], on=["code"]) == []
            with pytest.raises(Duplicate) as caught, session.begin_nested():
                parts.create({"code": "x"})
            return caught.value.fields

    assert await asyncio.to_thread(work) == ("the_code",)


@pytest.mark.parametrize(
    ("text", "found"),
    [("B", "bc"), ("%", "e"), ("_", ""), ("", "abcde"), (None, "abcde"), ("x", "")],
)
async def test_a_search_is_a_condition_like_others(session, text, found):
    items = Items(session)
    await items.update_many({"description": "a Bee"}, filters={"name": "c"})

    rows = await items.list(items.matching(text))

    assert "".join(name[0] for name in names(rows)) == found
    assert await items.count(items.matching(text)) == len(found)
    assert names(await items.list(items.matching("b"), filters={"price__lt": 4})) == [
        "b",
        "c",
    ]


async def test_a_search_may_be_for_words(session):
    essays = Essays(session)
    await essays.create_many([{"title": "On seats"}, {"title": "On elephants"}])

    found = await essays.list(essays.matching("seat -elephant"))

    assert [essay.title for essay in found] == ["On seats"]


async def test_a_search_of_nothing_is_refused(session):
    class Misspelt(Parts):
        search_in = ("cod",)

    with pytest.raises(Misconfigured, match="nothing to search"):
        Parts(session).matching("x")
    with pytest.raises(
        Misconfigured, match=r"search_in names 'cod'.*did you mean code"
    ):
        Misspelt(session).matching("x")


LOADED = pytest.mark.parametrize("load", [joinedload, selectinload])


@LOADED
async def test_relations_are_loaded_with_the_rows(db, load):
    with_category = [load(Item.category)]

    async with db.transaction() as session:
        items = Items(session)
        listed = await items.list(options=with_category)
        first = await items.first(sort="-price", options=with_category)
        many = await items.get_each([2, 3], options=with_category)
    assert [it.category and it.category.id for it in listed] == [None, 1, 2, None, 2]
    assert first.category.name == "Jazz"
    assert [it.category.name for it in many] == ["Rock", "Jazz"]

    async with db.transaction() as session:
        streamed = [it async for it in Items(session).stream(options=with_category)]
    assert streamed[1].category.name == "Rock"


@LOADED
async def test_relations_are_loaded_of_a_row_that_the_session_knows(session, load):
    items = Items(session)
    known = await items.get(2)
    assert "category" in inspect(known).unloaded

    got = await items.get(2, options=[load(Item.category)])
    locked = await items.find(3, lock=True, options=[selectinload(Item.category)])

    assert got is known
    assert known.category.name == "Rock"
    assert locked.category.name == "Jazz"
    assert await items.find(99, options=[load(Item.category)]) is None
    assert await items.find(2**80, options=[load(Item.category)]) is None
    with pytest.raises(NotFound):
        await items.get(99, options=[load(Item.category)])


async def test_searches_and_loaded_relations_without_await(db):
    load = [selectinload(Item.category)]
    with db.sync_session() as session:
        items = SyncItems(session)
        found = items.list(items.matching("B"), options=load)
        rows = [
            *found,
            items.get(3, options=load),
            items.find(3, options=load),
            items.first(filters={"name": "c"}, options=load),
            *items.get_each([5], options=load),
            *items.stream(Item.id == 5, options=load),
        ]

    assert names(found) == ["b"]
    assert [row.category.id for row in rows] == [1, 2, 2, 2, 2, 2]
