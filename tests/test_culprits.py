"""A batch that is refused names its rows: by the rule, and never a wrong one."""

from itertools import product

import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
)

from howdah.errors import (
    Duplicate,
    Invalid,
    MissingReference,
    StillReferenced,
)
from howdah.events import StatementFinished
from howdah.fast import FastStore
from howdah.models import unique_while_active
from howdah.query import Query
from howdah.statements import Layout

pytestmark = pytest.mark.anyio

METADATA = MetaData()
MAKERS = Table("makers", METADATA, Column("id", Integer, primary_key=True))
TOYS = Table(
    "toys",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("sku", Text, unique=True),
    Column("kind", Text),
    Column("size", Integer),
    Column("email", Text),
    Column("name", String(5)),
    Column("must", Text, nullable=False, server_default="x"),
    Column("price", Numeric(4, 2)),
    Column("maker_id", ForeignKey("makers.id")),
    Column("part_of", ForeignKey("toys.id")),
    Column("slot", Text),
    Column("deleted_at", DateTime(timezone=True)),
    UniqueConstraint("kind", "size"),
    CheckConstraint("size < 100 OR kind = 'big'"),
    unique_while_active("slot", soft_delete="deleted_at"),
)
Index("one_email", func.lower(TOYS.c.email), unique=True)
FIELDS = {column.key: column for column in TOYS.columns}


@pytest.fixture
async def toys(db):
    """A maker and two toys, the second of which is deleted."""
    async with db.engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
    layout = Layout(
        table=TOYS, columns=FIELDS, fields=FIELDS, soft_delete=TOYS.c.deleted_at
    )
    makers = {column.key: column for column in MAKERS.columns}
    await FastStore(
        db, Layout(table=MAKERS, columns=makers, fields=makers), model="Maker"
    ).create({"id": 1})
    store = FastStore(db, layout, model="Toy")
    await store.create_many([BEAR, {"sku": "gone", "slot": "b"}])
    await store.delete(2, hard=False)
    return store


BEAR = {
    "sku": "bear",
    "kind": "soft",
    "size": 1,
    "email": "Bear@toys",
    "slot": "a",
    "maker_id": 1,
}
NEW = [{"sku": f"new {n}"} for n in range(3)]
GOOD = {"sku": "good"}
RULES = {
    "taken": ({"sku": "bear"}, Duplicate, ["sku"]),
    "several columns": ({"kind": "soft", "size": 1}, Duplicate, ["kind", "size"]),
    "expression": ({"email": "bEAR@TOYS"}, Duplicate, ["email"]),
    "partial": ({"slot": "a"}, Duplicate, ["slot"]),
    "missing": ({"maker_id": 77}, MissingReference, ["maker_id"]),
    "itself": ({"part_of": 77}, MissingReference, ["part_of"]),
    "check": ({"kind": "soft", "size": 100}, Invalid, ["kind", "size"]),
    "null": ({"must": None}, Invalid, ["must"]),
    "long": ({"name": "longer"}, Invalid, ["name"]),
    "large": ({"size": 2**31}, Invalid, ["size"]),
}
FORMS = ("create", "update", "upsert")


async def write(toys, form, rows):
    if form == "create":
        return await toys.create_many(rows)
    if form == "upsert":
        return await toys.upsert_many(
            rows, on=["sku"], changing=[row.keys() - {"sku"} for row in rows]
        )
    await toys.create_many(NEW)
    changes = [{"id": n, **row} for n, row in enumerate(rows, start=3)]
    return await toys.update_many(changes)


def blame(caught):
    return [(error.field, error.index) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("form", "rule"),
    # An upsert knows a row by the taken value, and breaks no rule with it.
    [pair for pair in product(FORMS, RULES) if pair != ("upsert", "taken")],
)
async def test_the_row_that_breaks_a_rule_is_named(toys, form, rule):
    values, error, fields = RULES[rule]
    rows = [{"sku": "good", "slot": "b"}, {"sku": "bad", **values}, {"sku": "fine"}]

    with pytest.raises(error) as caught:
        await write(toys, form, rows)

    assert sorted(blame(caught)) == [(field, 1) for field in sorted(fields)]


@pytest.mark.parametrize("form", FORMS)
async def test_every_row_that_breaks_the_rule_is_named(toys, form):
    rows = [
        {"sku": s, "slot": slot} for s, slot in [("x", "c"), ("y", "a"), ("z", "c")]
    ]

    with pytest.raises(Duplicate) as caught:
        await write(toys, form, rows)

    assert blame(caught) == [("slot", 1), ("slot", 2)]


async def test_rows_that_are_known_are_not_in_their_own_way(toys):
    rows = [{**BEAR, "size": 2}, {"sku": "new", "kind": "soft", "size": 2}]

    with pytest.raises(Duplicate) as caught:
        await toys.upsert_many(
            rows, on=["sku"], changing=[row.keys() - {"sku"} for row in rows]
        )

    assert blame(caught) == [("kind", 1), ("size", 1)]


async def test_rows_that_are_still_referred_to_are_named(toys):
    await toys.create_many([{"id": 11}, {"id": 12}, {"id": 13, "part_of": 12}])

    with pytest.raises(StillReferenced) as caught:
        await toys.delete_many([11, 12], hard=True)
    await toys.delete_many([13, 12], hard=True)

    assert blame(caught) == [("id", 1)]
    assert await toys.count(Query()) == 2


async def test_no_row_is_named_where_a_trigger_decides(toys, db):
    await db.lane.fetchrow(
        "CREATE FUNCTION lower_it() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN NEW.sku = 'bear'; RETURN NEW; END$$"
    )
    await db.lane.fetchrow(
        "CREATE TRIGGER lower_it BEFORE INSERT ON toys FOR EACH ROW "
        "EXECUTE FUNCTION lower_it()"
    )

    with pytest.raises(Duplicate) as caught:
        await toys.create_many([{"sku": "a"}, {"sku": "bear"}])

    assert blame(caught) == [("sku", None)]


async def test_no_row_is_named_where_the_values_are_exchanged(toys):
    await toys.create({"sku": "other"})

    with pytest.raises(Duplicate) as caught:
        await toys.update_many([{"id": 1, "sku": "other"}, {"id": 3, "sku": "bear"}])

    assert blame(caught) == [("sku", None)]


async def test_a_bad_row_among_ten_thousand_is_named_by_one_question(toys, db):
    rows = [{"sku": f"{n}", "maker_id": 1, "slot": f"{n}"} for n in range(10_000)]
    rows[4711]["maker_id"] = 2
    heard = []
    db.listen(heard.append)

    with pytest.raises(MissingReference) as caught:
        await toys.create_many(rows)
    rows[4711] |= {"maker_id": 1, "slot": "17"}
    with pytest.raises(Duplicate) as twice:
        await toys.create_many(rows)

    assert blame(caught) == [("maker_id", 4711)]
    assert blame(twice) == [("slot", 4711)]
    assert [type(event) for event in heard] == [StatementFinished] * 4


async def test_a_rule_that_no_metadata_tells_names_no_row(toys, db):
    await db.lane.fetchrow("ALTER TABLE toys ADD CONSTRAINT odd CHECK (size <> 5)")

    with pytest.raises(Invalid) as caught:
        await toys.create_many([GOOD, {"sku": "bad", "size": 5}])

    assert caught.value.errors == ()
