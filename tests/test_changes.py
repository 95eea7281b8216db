"""Batches of changes, read at once and sent on as text: what strict readers make."""

import json
from uuid import UUID

import pytest
from catalogue import assert_problem, client_of
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kinds import Kind, Kinds, create_tables
from pydantic import BaseModel, Field, TypeAdapter, create_model

from howdah import Database, connect
from howdah.fast.batches import Batch
from howdah.fast.texts import Columns, text_changes
from howdah.resource.batches import update_many_action
from howdah.route.texts import read_json
from howdah.schemas import strict
from howdah.sent import ReadRows, SentChanges

pytestmark = pytest.mark.anyio

FIELDS = dict(Kind.__table__.columns)


class Change(BaseModel):
    small: int | None = Field(None, ge=-9)
    price: float | None = None
    double: float | None = None
    flag: bool | None = None
    word: str | None = Field(None, max_length=20)
    prose: str = "never filled in"
    ref: UUID | None = None
    given: int | None = None


class Changed(Kinds):
    update_schema = Change


LITERALS = {
    "id": ("1", "2", "3", "3.0", '"3"', "true"),
    "small": ("0", "-9", "-10", "null", "7.0", '"7"', "99999"),
    "price": ("1", "1.10", "-0", "0.1249999999999999999", "null", "NaN"),
    "double": ("1.25", "-0", "1e-400", "-7e2", "1e400"),
    "flag": ("true", "false", "null", "1"),
    "word": (r'"\u0061\n\""', '"a:b"', '""', '":"', r'"\u0000"', r'"\ud800"', "5"),
    "prose": ('"null"', '"\u2028"', "null"),
    "ref": ('"12345678123456781234567812345678"', '"urn:uuid:x"', '"x"'),
    "given": ("5", "null"),
    "other": ("1",),
}
PAIRS = st.sampled_from(sorted(LITERALS)).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from(LITERALS[name]))
)
OBJECTS = st.tuples(st.sampled_from(("1", "2", "3")), st.lists(PAIRS, max_size=4)).map(
    lambda row: ", ".join(
        f'"{name}": {value}' for name, value in [("id", row[0]), *row[1]]
    )
)
BODIES = st.lists(OBJECTS, max_size=3).map(
    lambda rows: "[" + ", ".join(f"{{{row}}}" for row in rows) + "]"
)


@pytest.fixture
async def db(database_url):
    async with Database(database_url) as db:
        await create_tables(db)
        yield db


@pytest.fixture
async def client(db):
    app = FastAPI()
    connect(app, db)
    app.include_router(Changed(db).router(prefix="/kinds"))
    async with client_of(app) as client:
        await client.post("/kinds/batch", json=[{"small": 1, "prose": "p"}] * 3)
        yield client


def reader():
    return update_many_action(Changed(Database("postgresql://nowhere/x"))).quick


def strictly(body):
    names = frozenset({"given"})
    base = strict(Change, never_null=names)
    schema = create_model("InBatch", __base__=base, id=(int, ...))
    rows = TypeAdapter(list[schema]).validate_python(read_json(body))
    return [row.model_dump(exclude_unset=True) for row in rows]


read = reader()


@settings(
    max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(BODIES)
def test_changes_that_are_read_at_once_are_those_that_are_read_strictly(body):
    rows = read(body.encode())

    if rows is not None:
        assert list(SentChanges(rows)) == strictly(body.encode())


def test_usual_changes_are_read_at_once_and_sent_on():
    body = b'[{"id": 1, "price": 2.5, "word": "a:b"}, {"id": 2}]'

    rows = read(body)

    assert isinstance(rows, ReadRows)
    assert rows.text is body
    assert list(SentChanges(rows)) == json.loads(body)


def test_a_null_is_left_to_the_reader_that_knows_where_none_may_be():
    assert read(b'[{"id": 1, "given": null}]') is None


async def test_a_body_of_changes_changes_what_its_values_would(client, db):
    columns = ("small", "price", "double", "flag", "word", "prose", "ref", "given")
    before = [dict.fromkeys(columns) | {"id": n, "given": 1} for n in (1, 2, 3)]
    bodies = [
        '[{"id": 1, "price": 1.10, "word": "\\u0061\\n"}, {"id": 3, "flag": true}]',
        '[{"id": 2, "small": 5, "double": -7e2, "ref": null}, {"id": 1}]',
        '[{"id": 3, "price": -0, "double": -0}, {"id": 2, "double": 1E-400}]',
        '[{"id": 2}, {"id": 1}]',
        '[{"id": 3, "given": 9}, {"id": 1, "given": 8}, {"id": 2, "given": 7}]',
    ]
    store = Kinds(db).store
    for body in bodies:
        await store.update_many(before)

        by_values = await store.update_many(strictly(body.encode()))
        await store.update_many(before)
        answer = await client.patch(
            "/kinds/batch",
            content=body,
            headers={"content-type": "application/json"},
        )

        assert str(answer.json()) == str(json.loads(by_values)), body


def test_changes_travel_as_one_text_and_flags_of_what_rows_leave_out():
    rows = SentChanges(read(b'[{"id": 1, "price": 2.5}, {"id": 2, "small": 3}]'))
    columns = Columns.of(rows.schema, FIELDS)

    batch = text_changes(rows, ("id",), columns, FIELDS, {})

    assert isinstance(batch, Batch)
    assert batch.texts == batch.names == ("small", "price")
    assert batch.partly == {"small", "price"}
    assert sorted(batch.arrays) == ["__rows", "__sent_price", "__sent_small"]
    assert not batch.idle


def test_changes_that_python_adds_to_travel_as_arrays():
    rows = SentChanges(read(b'[{"id": 1, "price": 2.5}]'))
    columns = Columns.of(rows.schema, FIELDS)

    batch = text_changes(rows, ("id",), columns, FIELDS, {"prose": lambda _: "x"})

    assert batch is None


async def test_a_batch_of_changes_names_the_row_that_is_to_blame(client):
    large = await client.patch(
        "/kinds/batch", json=[{"id": 1, "small": 5}, {"id": 2, "small": 70000}]
    )
    null = await client.patch("/kinds/batch", json=[{"id": 1, "given": None}])
    lost = await client.patch(
        "/kinds/batch", json=[{"id": 1, "small": 5}, {"id": 9, "small": 5}]
    )
    twice = await client.patch("/kinds/batch", json=[{"id": 1}, {"id": 1}])

    (fault,) = assert_problem(large, 422, "invalid")["errors"]
    assert (fault["field"], fault["index"]) == ("small", 1)
    (fault,) = assert_problem(null, 422, "invalid")["errors"]
    assert fault["field"].endswith("given")
    (fault,) = assert_problem(lost, 404, "not_found")["errors"]
    assert (fault["field"], fault["index"]) == ("id", 1)
    (fault,) = assert_problem(twice, 422, "invalid")["errors"]
    assert (fault["field"], fault["index"]) == ("id", 1)
