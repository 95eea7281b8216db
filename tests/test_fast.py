"""The fast store: compiled once, filled in for ever, whatever the columns are."""

# ruff: noqa: PT012 - what raises is one of two ways to the same end

import enum
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from databases import emptying
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Column,
    Date,
    DateTime,
    Enum,
    ForeignKey,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from howdah import Database
from howdah.errors import Duplicate, Invalid, NotFound, StaleVersion
from howdah.events import StatementFinished
from howdah.fast import FastStore, Plan
from howdah.paging import KeysetPage, OffsetPage, Slice
from howdah.query import Filter, Query, Sort
from howdah.settings import Pool
from howdah.statements import Layout, Target
from howdah.store import Row

pytestmark = pytest.mark.anyio

METADATA = MetaData()


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


THINGS = Table(
    "things",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(5)),
    Column("small", SmallInteger),
    Column("big", BigInteger),
    Column("color", Enum(Color, name="color")),
    Column(
        "tone",
        Enum(Color, name="tone", values_callable=lambda e: [c.value for c in e]),
    ),
    Column("meta", JSONB),
    Column("plain", JSON),
    Column("price", Numeric(12, 2)),
    Column("day", Date),
    Column("hour", Time),
    Column("span", Interval),
    Column("moment", DateTime(timezone=True)),
    Column("ref", Uuid),
    Column("blob", LargeBinary),
    Column("tags", ARRAY(Text)),
)
DEFAULTED = Table(
    "defaulted",
    METADATA,
    Column("id", Uuid, primary_key=True, default=uuid4),
    Column("name", Text, unique=True),
    Column("scalar", Integer, default=7),
    Column("called", Text, default=lambda: uuid4().hex),
    Column("computed", Integer, default=text("3 + 4")),
    Column("served", Integer, server_default="8"),
    Column("touched", Integer, onupdate=9),
    Column("counted", Text, onupdate=lambda: "again"),
    Column("changed", DateTime(timezone=True), onupdate=func.now()),
)
GONE = Table(
    "gone",
    METADATA,
    Column("code", Text, primary_key=True),
    Column("name", Text),
    Column("deleted_at", DateTime(timezone=True)),
)
AWKWARD = Table(
    "Order of things",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("key", Text, onupdate=lambda: "touched"),
    Column("limit", Integer),
    Column("skip", Integer),
    Column("search", Text),
    Column("v_key", Text),
    Column("select", Text),
    Column("MixedCase", Text, key="mixed"),
    Column("given", Text),
    Column("row", Text),
    Column("position", Text),
    Column("number", Text),
    Column("found", Text),
    Column("there", Text),
    Column("tag", Text),
    Column("per%cent", Text, key="percent"),
    schema="Other Schema",
)
PARENT = Table("parent", METADATA, Column("id", Integer, primary_key=True))
CHILD = Table(
    "child",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("parent_id", ForeignKey("parent.id")),
)


def layout(table: Table, *shown: str, **options) -> Layout:
    fields = {column.key: column for column in table.columns}
    columns = {name: fields[name] for name in shown or fields}
    return Layout(table=table, columns=columns, fields=fields, **options)


def read(answer: Row | Slice):
    return json.loads(answer.body)


@pytest.fixture(scope="module")
def url(server):
    name = f"fast_{uuid4().hex[:12]}"
    server.create_database(name)
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
async def db(url):
    async with Database(url, pool=Pool(size=4)) as db:
        await db.lane.fetchrow('CREATE SCHEMA IF NOT EXISTS "Other Schema"')
        async with db.engine.begin() as connection:
            await connection.run_sync(METADATA.create_all)
            await connection.exec_driver_sql(emptying(METADATA.sorted_tables))
        yield db


@pytest.fixture
def make(db):
    def make(table: Table, *shown: str, **options) -> FastStore:
        return FastStore(db, layout(table, *shown, **options), model=table.name)

    return make


@pytest.fixture
def compiled(monkeypatch):
    """Count what is compiled."""
    plans, of = [], Plan.of

    def counted(statement, names) -> Plan:
        plans.append(statement)
        return of(statement, names)

    monkeypatch.setattr(Plan, "of", counted)
    return plans


VALUES = {
    "name": ("abc", "abc"),
    "small": (2**15 - 1, 2**15 - 1),
    "big": (2**63 - 1, 2**63 - 1),
    "color": (Color.RED, "red"),
    "tone": (Color.BLUE, "blue"),
    "meta": ({"a": [1, "ä", None, {"b": True}]}, {"a": [1, "ä", None, {"b": True}]}),
    "plain": ([1, 2.5], [1, 2.5]),
    "price": (Decimal("1.50"), 1.5),
    "day": (date(2024, 2, 29), "2024-02-29"),
    "hour": (time(23, 59, 1), "23:59:01"),
    "span": (timedelta(days=1, hours=2), "P1DT7200S"),
    "moment": (datetime(2024, 2, 29, tzinfo=UTC), "2024-02-29T00:00:00+00:00"),
    "ref": (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    "blob": (b"\x00\xff", "AP8="),
}


@pytest.mark.parametrize("name", [*VALUES, "tags"])
async def test_a_value_of_any_type_goes_in_and_comes_out(make, name):
    things = make(THINGS, "id", name)
    value, shown = VALUES.get(name, (["a", "b"], ["a", "b"]))

    created = read(await things.create({name: value}))

    assert created == {"id": 1, name: shown}
    assert read(await things.get(1)) == created
    assert read(await things.list(Query(), OffsetPage())) == [created]
    assert read(await things.update(1, {name: None})) == {"id": 1, name: None}
    assert read(await things.update(1, {name: value})) == created


@pytest.mark.parametrize("name", [*VALUES, "tags"])
async def test_a_batch_takes_values_of_any_type(make, name):
    things = make(THINGS, "id", name)
    value, shown = VALUES.get(name, (["a", "b"], ["a", "b"]))

    body = await things.create_many([{name: value}, {name: None}, {name: value}])

    assert json.loads(body) == [
        {"id": 1, name: shown},
        {"id": 2, name: None},
        {"id": 3, name: shown},
    ]
    rows = [{"id": 3, name: None}, {"id": 2, name: value}, {"id": 1}]
    assert json.loads(await things.update_many(rows)) == [
        {"id": 3, name: None},
        {"id": 2, name: shown},
        {"id": 1, name: shown},
    ]


async def test_numbers_inside_json_stay_numbers(make):
    things = make(THINGS, "id", "meta")
    value = {"price": Decimal("1.50"), "moment": datetime(2024, 1, 1, tzinfo=UTC)}

    created = read(await things.create({"meta": value}))

    assert created["meta"] == {"price": 1.5, "moment": "2024-01-01T00:00:00Z"}


@pytest.mark.parametrize("many", [False, True])
async def test_a_text_that_is_too_long_is_never_cut(make, many):
    things = make(THINGS, "id", "name")

    with pytest.raises(Invalid, match="longer than its column"):
        if many:
            await things.create_many([{"name": "abc"}, {"name": "abcdef"}])
        else:
            await things.create({"name": "abcdef"})

    assert await things.count(Query()) == 0


@pytest.mark.parametrize("name", ["small", "big"])
async def test_a_number_that_is_too_large_names_its_field_and_row(make, name):
    things = make(THINGS, "id", name)
    large = 2**15 if name == "small" else 2**63

    with pytest.raises(Invalid) as one:
        await things.create({name: large})
    with pytest.raises(Invalid) as many:
        await things.create_many([{name: 1}, {name: None}, {name: large}])

    assert [(e.field, e.index) for e in one.value.errors] == [(name, None)]
    assert [(e.field, e.index) for e in many.value.errors] == [(name, 2)]


async def test_defaults_of_every_kind_are_filled_in(make):
    store = make(DEFAULTED)

    row = read(await store.create({"name": "a"}))

    assert UUID(row["id"]).version == 4
    assert len(row["called"]) == 32
    kept = {k: row[k] for k in ("scalar", "computed", "served", "touched", "changed")}
    assert kept == {
        "scalar": 7,
        "computed": 7,
        "served": 8,
        "touched": None,
        "changed": None,
    }
    given = read(await store.create({"name": "b", "scalar": 1}))
    assert given["scalar"] == 1


async def test_defaults_are_filled_in_for_each_row_of_a_batch(make):
    store = make(DEFAULTED)

    rows = json.loads(await store.create_many([{"name": n} for n in "abc"]))

    assert [row["name"] for row in rows] == ["a", "b", "c"]
    assert len({row["id"] for row in rows}) == 3
    assert len({row["called"] for row in rows}) == 3
    assert {(r["scalar"], r["computed"], r["served"]) for r in rows} == {(7, 7, 8)}


async def test_an_update_fills_in_what_updates_are_for(make):
    store = make(DEFAULTED)
    key = (await store.create({"name": "a"})).key

    row = read(await store.update(key, {"name": "b"}))

    assert (row["name"], row["touched"], row["counted"]) == ("b", 9, "again")
    assert row["changed"] is not None


async def test_a_key_may_be_a_uuid(make):
    store = make(DEFAULTED)
    created = await store.create({"name": "a"})

    assert isinstance(created.key, UUID)
    assert read(await store.get(created.key))["name"] == "a"
    with pytest.raises(NotFound):
        await store.get(UUID(int=1))


async def test_a_taken_value_names_its_field(make):
    store = make(DEFAULTED)
    await store.create({"name": "a"})

    for work in (store.create({"name": "a"}), store.create_many([{"name": "a"}])):
        with pytest.raises(Duplicate) as caught:
            await work
        assert caught.value.fields == ("name",)


async def test_a_row_with_a_moment_of_deletion_is_gone(make):
    store = make(GONE, soft_delete=GONE.c.deleted_at)
    await store.create({"code": "a/ä", "name": "x"})

    await store.delete("a/ä", hard=False)

    with pytest.raises(NotFound, match="gone ID a/ä not found"):
        await store.get("a/ä")
    with pytest.raises(NotFound):
        await store.update("a/ä", {"name": "y"})
    with pytest.raises(NotFound):
        await store.delete("a/ä", hard=False)
    assert read(await store.list(Query(), OffsetPage())) == []
    shown = read(await store.list(Query(active_only=False), OffsetPage()))
    assert shown[0]["deleted_at"] is not None
    await store.delete("a/ä", hard=True)
    assert await store.count(Query(active_only=False)) == 0


async def test_columns_may_have_any_name(make):
    search = (AWKWARD.c.search, AWKWARD.c.key)
    store = make(AWKWARD, search=search)
    names = [column.key for column in AWKWARD.columns if column.key != "id"]
    values = {name: 5 if name in {"limit", "skip"} else f"{name}!" for name in names}

    created = read(await store.create(values))

    assert created == {"id": 1, **values}
    assert read(await store.get(1)) == created
    rows = json.loads(await store.create_many([values, values]))
    assert rows == [{"id": n, **values} for n in (2, 3)]
    for name in names:
        changed = read(await store.update(1, {name: values[name]}))
        touched = values["key"] if name == "key" else "touched"
        assert changed == {"id": 1, **values, "key": touched}
    rows = [{"id": 2, **values}, {"id": 3, "limit": 5}]
    changed = json.loads(await store.update_many(rows))
    touched = {"id": 3, **values, "key": "touched"}
    assert changed == [{"id": 2, **values}, touched]
    put = await store.upsert({"id": 3, **values}, on=["id"], changing=names)
    assert (read(put), put.created) == ({"id": 3, **values}, False)
    changing = [names, names[:1]]
    many = await store.upsert_many(rows, on=["id"], changing=changing)
    assert json.loads(many)[0] == {"id": 2, **values}
    page = await store.list(Query(search="search!"), OffsetPage(skip=1, limit=1))
    assert [row["id"] for row in read(page)] == [2]
    assert await store.count(Query(search="search!")) == 3
    await store.delete(1, hard=False)
    assert await store.count(Query()) == 2


@pytest.mark.parametrize("name", [c.key for c in AWKWARD.columns if c.key != "id"])
async def test_pages_and_tags_take_columns_of_any_name(make, name):
    store = make(AWKWARD, filters={name: Target(column=AWKWARD.c[name])})
    low, high = (1, 2) if name in {"limit", "skip"} else ("a", "b")
    await store.create_many([{name: low}, {name: None}, {name: high}])
    found = Filter(field=name, operator="in", value=(low, high))
    query = Query(filters=(found,), sort=(Sort(field=name),), count="exact")

    first = await store.list(query, KeysetPage(limit=1))
    place = tuple(json.loads(first.last))
    second = await store.list(query, KeysetPage(limit=1, position=place))

    assert [row["id"] for row in read(first) + read(second)] == [1, 3]
    assert (first.more, second.more, second.total) == (True, False, 2)
    tag = (await store.get(1)).tag
    assert read(await store.update(1, {name: high}, match=(tag,)))[name] == high
    with pytest.raises(StaleVersion):
        await store.update(1, {name: low}, match=(tag,))


async def test_a_shape_is_compiled_once(make, compiled):
    store = make(GONE, search=(GONE.c.name,), soft_delete=GONE.c.deleted_at)

    for n in range(3):
        await store.create({"code": f"{n}", "name": "x"})
        await store.create_many([{"code": f"b{n}", "name": "x"}])
        await store.get(f"{n}")
        await store.update(f"{n}", {"name": f"y{n}"})
        await store.list(Query(), OffsetPage(skip=n))
        await store.list(Query(search=f"{n}"), OffsetPage(limit=n + 1))
        await store.count(Query())
        await store.delete(f"{n}", hard=False)

    assert len(compiled) == 9  # a page that skips nothing has a statement of its own
    await store.update("b0", {"deleted_at": None})
    assert len(compiled) == 10


async def test_plans_are_bounded(make, compiled, monkeypatch):
    monkeypatch.setattr("howdah.fast.table._MOST_PLANS", 2)
    store = make(GONE)

    await store.count(Query())
    await store.list(Query(), OffsetPage())
    await store.create({"code": "a"})
    await store.list(Query(), OffsetPage())
    assert len(compiled) == 3
    await store.count(Query())

    assert len(compiled) == 4
    assert len(store._plans) == 2


async def test_every_request_is_one_statement(db, make):
    store = make(GONE, soft_delete=GONE.c.deleted_at)
    heard = []
    db.listen(heard.append)

    await store.create({"code": "a", "name": "x"})
    await store.create_many([{"code": "b", "name": "x"}])
    await store.get("a")
    await store.list(Query(), OffsetPage())
    await store.count(Query())
    await store.update("a", {"name": "y"})
    await store.delete("a", hard=False)

    assert [type(event) for event in heard] == [StatementFinished] * 7


async def test_nothing_is_asked_for_an_empty_batch(db, make):
    heard = []
    db.listen(heard.append)

    assert await make(GONE).create_many([]) == b"[]"
    assert heard == []


async def test_a_store_without_soft_delete_removes(make):
    store = make(PARENT)
    await store.create({"id": 5})

    await store.delete(5, hard=False)

    assert await store.count(Query(active_only=False)) == 0


async def test_a_row_may_be_all_defaults(make):
    created = await make(PARENT).create({})

    assert (created.key, created.body) == (1, b'{"id":1}')


async def test_a_row_whose_key_is_not_shown_has_none(make):
    created = await make(GONE, "name").create({"code": "a", "name": "x"})

    assert (created.key, created.body) == (None, b'{"name":"x"}')


async def test_a_default_may_ask_for_the_other_values(db):
    table = Table(
        f"asking_{uuid4().hex[:8]}",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("name", Text),
        Column("slug", Text, default=lambda c: c.get_current_parameters()["name"] * 2),
    )
    async with db.engine.begin() as connection:
        await connection.run_sync(table.create)
    store = FastStore(db, layout(table), model="Asking")

    one = read(await store.create({"name": "a"}))
    many = json.loads(await store.create_many([{"name": "b"}, {"name": "c"}]))

    assert [row["slug"] for row in (one, *many)] == ["aa", "bb", "cc"]
