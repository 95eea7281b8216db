"""What is the memory store's own; what every store does is held in tests/contract."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from catalogue import (
    NOTEBOOK,
    Categories,
    CategoryCreate,
    Item,
    ItemCreate,
    Items,
    ItemUpdate,
    client_of,
    make_app,
)
from pydantic import BaseModel
from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    and_,
    exists,
    false,
    func,
    literal,
    null,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from howdah import Duplicate, Invalid, Misconfigured, NotFound, Resource
from howdah.meaning import reader
from howdah.memory import MemoryDatabase, MemoryStore
from howdah.paging import OffsetPage
from howdah.query import Query
from howdah.statements import Layout

pytestmark = pytest.mark.anyio

NOW = datetime(2024, 2, 29, tzinfo=UTC)


@pytest.fixture
def memory():
    return MemoryDatabase(now=lambda: NOW)


def read(row):
    return json.loads(row.body)


async def test_a_resource_needs_no_database(memory):
    items = Items(memory)

    created = await items.create(ItemCreate(name="notebook", price=3))
    changed = await items.update(created.key, ItemUpdate(price=4))

    assert read(created)["created_at"] == "2024-02-29T00:00:00+00:00"
    assert read(changed)["price"] == 4
    assert changed.tag != created.tag


async def test_an_app_runs_over_it(memory):
    app = make_app(memory)
    async with app.router.lifespan_context(app), client_of(app) as client:
        created = await client.post("/items/", json=NOTEBOOK)
        ready = await client.get("/health/ready")

    assert (created.status_code, ready.status_code) == (201, 200)
    assert repr(memory) == "MemoryDatabase(items: 1)"


async def test_resources_over_one_see_each_other_and_no_others(memory):
    items, others = Items(memory), Items(MemoryDatabase())
    await Categories(memory).create(CategoryCreate(name="Rock"))

    item = ItemCreate(name="a", price=1, category_id=1)
    await items.create(item)

    assert await items.count(Query()) == 1
    assert await others.count(Query()) == 0


async def test_it_can_be_emptied(memory):
    items = Items(memory)
    await items.create(ItemCreate(name="a", price=1))

    memory.clear()

    assert await items.count(Query()) == 0
    assert (await items.create(ItemCreate(name="a", price=1))).key == 1


def test_there_are_no_sessions(memory):
    with pytest.raises(Misconfigured, match="has no sessions"):
        memory.session()


async def test_the_clock_is_the_tests():
    moment = NOW
    memory = MemoryDatabase(now=lambda: moment)
    items = Items(memory)
    await items.create(ItemCreate(name="a", price=1))

    moment += timedelta(days=1)
    changed = await items.update(1, ItemUpdate(price=2))

    assert read(changed)["updated_at"] == "2024-03-01T00:00:00+00:00"


class Base(DeclarativeBase):
    pass


class Shown(BaseModel):
    id: int


METADATA = MetaData()
RULED = Table(
    "ruled",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("low", Integer),
    Column("high", Integer, server_default=text("'9'::integer")),
    Column("label", String(5), default=lambda it: f"n{it.current_parameters['low']}"),
)
RULED.append_constraint(CheckConstraint(RULED.c.low < RULED.c.high, name="in_order"))
RULED.append_constraint(CheckConstraint("low > 1000", name="told as text"))


class MadeRead(Shown):
    at: datetime
    told: datetime
    day: date
    changed: datetime | None


class RuledRead(Shown):
    low: int | None
    high: int | None
    label: str | None


def store(memory, table, schema, **options):
    fields = {column.key: column for column in table.columns}
    columns = {name: fields[name] for name in schema.model_fields}
    layout = Layout(
        table=table, columns=columns, fields=fields, schema=schema, **options
    )
    return MemoryStore(memory, layout, model=table.name)


async def test_rules_and_defaults_of_the_table_are_kept(memory):
    ruled = store(memory, RULED, RuledRead)

    row = read(await ruled.create({"low": 3}))
    empty = read(await ruled.create({"low": None}))

    assert row == {"id": 1, "low": 3, "high": 9, "label": "n3"}
    assert empty["low"] is None
    with pytest.raises(Invalid) as caught:
        await ruled.create({"low": 9})
    assert caught.value.constraint == "in_order"
    with pytest.raises(Invalid):
        await ruled.update(1, {"high": 1})
    assert read(await ruled.get(1)) == row


async def test_the_present_goes_into_columns_without_a_zone(memory):
    table = Table(
        "made",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("at", DateTime, server_default=func.now()),
        Column("told", DateTime, server_default=text("now()")),
        Column("day", Date, server_default=func.now()),
        Column("changed", DateTime, onupdate=func.now()),
    )
    made = store(memory, table, MadeRead)

    await made.create({})
    row = read(await made.update(1, {"id": 2}))

    moments = dict.fromkeys(("at", "told", "changed"), "2024-02-29T00:00:00")
    assert row == {"id": 2, "day": "2024-02-29", **moments}


def test_a_default_that_only_a_database_knows_is_refused_at_the_start(memory):
    table = Table(
        "odd",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("code", Text, server_default=text("next_code()")),
    )

    with pytest.raises(Misconfigured, match=r"'code' of 'odd' has the default next_co"):
        store(memory, table, Shown)


TREE = Table(
    "tree",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("above", ForeignKey("tree.id", ondelete="CASCADE", onupdate="CASCADE")),
    Column("next", ForeignKey("tree.id", ondelete="SET NULL")),
)


class TreeRead(Shown):
    above: int | None
    next: int | None


async def test_what_foreign_keys_say_is_done(memory):
    tree = store(memory, TREE, TreeRead)
    await tree.create_many(
        [
            {"id": 1, "above": None, "next": None},
            {"id": 2, "above": 1, "next": None},
            {"id": 3, "above": 2, "next": None},
            {"id": 4, "above": None, "next": 2},
        ]
    )

    await tree.update(1, {"id": 7})
    moved = read(await tree.get(2))
    await tree.delete(7, hard=True)

    assert moved["above"] == 7
    found = read(await tree.list(Query(), OffsetPage()))
    assert found == [{"id": 4, "above": None, "next": None}]


async def test_a_failed_batch_leaves_everything_as_it_was(memory):
    categories = Categories(memory)
    await categories.create(CategoryCreate(name="a"))

    with pytest.raises(Duplicate):
        await categories.create_many([CategoryCreate(name=n) for n in "bca"])

    assert await categories.count(Query()) == 1
    with pytest.raises(NotFound):
        await categories.get(2)


class Thing(Base):
    __tablename__ = "thing"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(Text)
    size: Mapped[int | None] = mapped_column(Integer)
    price: Mapped[float | None] = mapped_column(Numeric(6, 2))


SAMPLES = [
    {"id": 1, "name": "Emma", "size": 3, "price": 1},
    {"id": 2, "name": "a_b%", "size": None, "price": 2},
    {"id": 3, "name": None, "size": -1, "price": None},
]
CONDITIONS = [
    Thing.size == 3,
    Thing.size != 3,
    Thing.size > Thing.id,
    Thing.size <= 3,
    Thing.size.is_(None),
    Thing.size.is_not(None),
    Thing.size.is_distinct_from(3),
    Thing.size.in_([3, -1]),
    Thing.size.not_in([3]),
    Thing.size.in_([]),
    Thing.id.between(2, 3),
    ~Thing.id.between(2, 3),
    and_(Thing.id > 1, Thing.name.is_not(None)),
    or_(Thing.size == 3, Thing.name == "x"),
    ~or_(Thing.size == 3, Thing.name == "x"),
    Thing.name.like("%m%"),
    Thing.name.not_like("%m%"),
    Thing.name.ilike("EM_A"),
    Thing.name.like("a/_b/%", escape="/"),
    Thing.name.contains("_b", autoescape=True),
    Thing.name.startswith("E"),
    Thing.name.icontains("MM"),
    Thing.name.iendswith("b%", autoescape=True),
    func.lower(Thing.name) == "emma",
    func.coalesce(Thing.size, 0) == 0,
    func.length(Thing.name) > 3,
    Thing.name + "!" == "Emma!",
    Thing.size + 1 == 4,
    Thing.size == null(),
    Thing.price < literal(1.5),
    Thing.id == Thing.size + 4,
    true(),
    false(),
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
async def test_a_condition_means_what_it_means_to_postgresql(db, condition):
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(Thing.__table__.insert(), SAMPLES)
        asked = select(Thing.id).where(condition).order_by(Thing.id)
        found = list((await connection.execute(asked)).scalars())

    columns = Thing.__table__.columns
    rows = [{columns[name]: v for name, v in row.items()} for row in SAMPLES]
    test = reader(condition)
    assert [row[columns.id] for row in rows if test(row, NOW) is True] == found


@pytest.mark.parametrize(
    "condition",
    [
        exists().where(Thing.id == 1),
        Thing.id.in_(select(Thing.id)),
        func.pg_sleep(1) == 0,
        text("id = 1"),
    ],
    ids=["exists", "subquery", "function", "text"],
)
def test_what_only_a_database_can_say_is_refused_in_plain_words(condition):
    with pytest.raises(Misconfigured, match="nobody can evaluate"):
        reader(condition)


class Scoped(Resource[Item]):
    create_schema = ItemCreate
    update_schema = ItemUpdate

    async def create(self, values, **options):
        values.name = values.name.strip()
        return await super().create(values, **options)


async def test_actions_of_ones_own_are_tested_without_a_server(memory):
    created = await Scoped(memory).create(ItemCreate(name="  x ", price=1))

    assert read(created)["name"] == "x"
