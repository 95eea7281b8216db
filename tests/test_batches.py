"""Many rows in one statement: changed and deleted by their keys, all or none."""

import asyncio
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Time,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from howdah.errors import Invalid, NotFound
from howdah.fast import FastStore
from howdah.paging import OffsetPage
from howdah.query import Query
from howdah.statements import Layout

pytestmark = pytest.mark.anyio

METADATA = MetaData()
PARTS = Table(
    "parts",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("price", Numeric(12, 2)),
    Column("meta", JSONB),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("updated_at", DateTime(timezone=True), onupdate=func.now()),
    Column(
        "slug",
        Text,
        onupdate=lambda c: str(c.get_current_parameters().get("name")).upper(),
    ),
)
LINES = Table(
    "lines",
    METADATA,
    Column("order", Text, primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("what", Text),
    Column("deleted_at", DateTime(timezone=True)),
)
LISTS = Table("lists", METADATA, Column("id", Integer, primary_key=True))
ARRAYS = {
    Text(): (["a", "", '"', "\\", "{,}", "NULL", " ", None], None),
    String(3): (["abc"], None),
    Integer(): ([1, None, -2], None),
    Float(): ([1.5, float("inf")], [1.5, None]),
    Numeric(12, 2): ([Decimal("1.50")], [1.5]),
    Boolean(): ([True, False], None),
    Date(): ([date(2024, 2, 29)], ["2024-02-29"]),
    Time(): ([time(23, 59, 1, 5)], ["23:59:01.000005"]),
    DateTime(timezone=True): (
        [datetime(2024, 2, 29, tzinfo=UTC)],
        ["2024-02-29T00:00:00+00:00"],
    ),
    Interval(): ([timedelta(days=-1, seconds=5)], ["-P0DT86395S"]),
    Uuid(): ([UUID(int=7)], [str(UUID(int=7))]),
    LargeBinary(): ([b"\x00\xff"], ["AP8="]),
    Enum("red", "blue", name="hue"): (["red"], None),
    JSONB(): ([{"a": [1, '"']}, [2]], None),
}
for number, type_ in enumerate(ARRAYS):
    LISTS.append_column(Column(f"of_{number}", ARRAY(type_)))
LISTS.append_column(Column("nested", ARRAY(Integer, dimensions=2)))


def layout(table, **options):
    fields = {column.key: column for column in table.columns}
    return Layout(table=table, columns=fields, fields=fields, **options)


@pytest.fixture
async def db(db):
    async with db.engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
    return db


@pytest.fixture
async def parts(db):
    """Three parts, named after their numbers."""
    store = FastStore(db, layout(PARTS, soft_delete=PARTS.c.is_active), model="Part")
    await store.create_many([{"name": f"part {n}", "price": n} for n in (1, 2, 3)])
    return store


@pytest.fixture
async def lines(db):
    store = FastStore(db, layout(LINES, soft_delete=LINES.c.deleted_at), model="Line")
    rows = [{"order": o, "line": n, "what": f"{o}{n}"} for o in "ab" for n in (1, 2)]
    await store.create_many(rows)
    return store


async def all_of(store):
    query = Query(active_only=False)
    return json.loads((await store.list(query, OffsetPage())).body)


def blame(caught):
    return [(e.field, e.index, e.code) for e in caught.value.errors]


async def test_each_row_changes_what_it_sends(parts):
    rows = [
        {"id": 3, "price": None},
        {"id": 1, "name": "first", "meta": {"a": 1}},
        {"id": 2, "price": Decimal("9.99"), "name": "second"},
    ]

    changed = json.loads(await parts.update_many(rows))

    assert [(r["id"], r["name"], r["price"], r["meta"]) for r in changed] == [
        (3, "part 3", None, None),
        (1, "first", 1.0, {"a": 1}),
        (2, "second", 9.99, None),
    ]
    assert sorted(changed, key=lambda row: row["id"]) == await all_of(parts)


async def test_each_row_that_changes_gets_what_updates_fill_in(parts):
    before = {row["id"]: row for row in await all_of(parts)}
    tag = (await parts.get(2)).tag
    rows = [{"id": 1, "name": "x"}, {"id": 2}, {"id": 3, "slug": "own"}]

    changed = json.loads(await parts.update_many(rows))

    assert [row["slug"] for row in changed] == ["X", None, "own"]
    assert [row["updated_at"] is None for row in changed] == [False, True, False]
    assert changed[1] == before[2]
    assert (await parts.get(2)).tag == tag


async def test_rows_that_all_send_nothing_are_read(parts):
    before = await all_of(parts)

    changed = json.loads(await parts.update_many([{"id": 2}, {"id": 1}]))

    assert changed == [before[1], before[0]]


async def test_a_missing_row_is_named_and_nothing_changes(parts):
    before = await all_of(parts)
    rows = [{"id": n, "name": "x"} for n in (1, 8, 2, 9)]

    with pytest.raises(NotFound, match="Part ID 8 and 1 more not found") as caught:
        await parts.update_many(rows)
    with pytest.raises(NotFound) as deleted:
        await parts.delete_many([1, 8], hard=True)
    with pytest.raises(NotFound) as large:
        await parts.update_many([{"id": 1, "name": "x"}, {"id": 2**31, "name": "x"}])

    assert blame(caught) == [("id", 1, "not_found"), ("id", 3, "not_found")]
    assert blame(deleted) == blame(large) == [("id", 1, "not_found")]
    assert await all_of(parts) == before


async def test_a_key_given_twice_is_named_and_nothing_changes(parts, lines):
    before = await all_of(parts)

    with pytest.raises(Invalid) as caught:
        await parts.update_many([{"id": n, "name": "x"} for n in (1, 2, 1)])
    with pytest.raises(Invalid) as deleted:
        await lines.delete_many([("a", 1), ("a", 1)], hard=True)

    assert blame(caught) == [("id", 2, "invalid")]
    assert blame(deleted) == [("order", 1, "invalid"), ("line", 1, "invalid")]
    assert await all_of(parts) == before


async def test_rows_are_marked_and_removed_together(parts):
    await parts.delete_many([3, 1], hard=False)

    assert [row["is_active"] for row in await all_of(parts)] == [False, True, False]
    assert [row["updated_at"] is None for row in await all_of(parts)] == [
        False,
        True,
        False,
    ]
    await parts.delete_many([1, 2], hard=True)
    assert [row["id"] for row in await all_of(parts)] == [3]


async def test_rows_with_a_moment_of_deletion_are_gone_for_batches(lines):
    await lines.delete_many([("a", 1), ("b", 2)], hard=False)

    with pytest.raises(NotFound) as caught:
        await lines.delete_many([("a", 2), ("a", 1)], hard=False)
    with pytest.raises(NotFound):
        await lines.update_many([{"order": "a", "line": 1, "what": "x"}])

    assert [(e.field, e.index) for e in caught.value.errors] == [
        ("order", 1),
        ("line", 1),
    ]
    await lines.delete_many([("a", 1), ("b", 1)], hard=True)
    kept = [(r["order"], r["line"], r["deleted_at"]) for r in await all_of(lines)]
    assert [(*key, at is None) for *key, at in kept] == [
        ("a", 2, True),
        ("b", 2, False),
    ]


async def test_rows_of_composite_keys_change_together(lines):
    rows = [
        {"order": "b", "line": 1, "what": "tea"},
        {"order": "a", "line": 2, "what": "jam"},
    ]

    changed = json.loads(await lines.update_many(rows))

    assert [(r["order"], r["line"], r["what"]) for r in changed] == [
        ("b", 1, "tea"),
        ("a", 2, "jam"),
    ]


async def test_new_rows_get_defaults_where_they_leave_fields_out(parts):
    rows = [{"name": "a", "is_active": False}, {"name": "b"}, {"name": "c", "price": 1}]

    made = json.loads(await parts.create_many(rows))

    assert [(r["name"], r["is_active"], r["price"]) for r in made] == [
        ("a", False, None),
        ("b", True, None),
        ("c", True, 1),
    ]


async def test_an_empty_batch_changes_nothing(parts):
    assert await parts.update_many([]) == b"[]"
    await parts.delete_many([], hard=True)

    assert len(await all_of(parts)) == 3


@pytest.mark.parametrize("number", range(len(ARRAYS)), ids=[*map(repr, ARRAYS)])
async def test_a_batch_takes_arrays_of_any_type(db, number):
    lists = FastStore(db, layout(LISTS), model="List")
    name = f"of_{number}"
    value, shown = list(ARRAYS.values())[number]

    rows = json.loads(
        await lists.create_many([{name: value}, {name: None}, {name: []}])
    )

    assert [row[name] for row in rows] == [shown or value, None, []]
    one = json.loads((await lists.create({name: value})).body)
    assert one[name] == rows[0][name]


async def test_a_batch_takes_arrays_of_several_dimensions(db):
    lists = FastStore(db, layout(LISTS), model="List")

    rows = json.loads(
        await lists.create_many([{"nested": [[1, 2], [3, None]]}, {"nested": [[4]]}])
    )

    assert [row["nested"] for row in rows] == [[[1, 2], [3, None]], [[4]]]


async def test_a_text_in_an_array_that_is_too_long_is_never_cut(db):
    lists = FastStore(db, layout(LISTS), model="List")

    with pytest.raises(Invalid, match="longer than its column"):
        await lists.create_many([{"of_1": ["abc"]}, {"of_1": ["abcd"]}])


async def test_batches_that_meet_wait_for_each_other(parts):
    await parts.create_many([{"name": "x", "price": 0} for _ in range(200)])
    keys = list(range(4, 204))

    def change(number):
        order = keys if number % 2 else keys[::-1]
        return parts.update_many([{"id": key, "price": number} for key in order])

    await asyncio.gather(*(change(number) for number in range(20)))

    rows = [row for row in await all_of(parts) if row["id"] > 3]
    assert len({row["price"] for row in rows}) == 1


async def test_ten_thousand_rows_are_changed_and_deleted(parts):
    rows = [{"name": f"{n}", "price": n} for n in range(10_000)]
    made = json.loads(await parts.create_many(rows))

    changed = json.loads(
        await parts.update_many(
            [
                {"id": row["id"], **({"price": 1} if n % 2 else {"name": "x"})}
                for n, row in enumerate(made)
            ]
        )
    )

    assert [row["id"] for row in changed] == [row["id"] for row in made]
    assert {(r["name"] == "x", r["price"] == 1) for r in changed[2:]} == {
        (True, False),
        (False, True),
    }
    await parts.delete_many([row["id"] for row in made], hard=True)
    assert await parts.count(Query(active_only=False)) == 3
