"""Batches of new rows as one text: the rows that arrays make, and the same errors."""

import datetime as dt
import json
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import pytest
from catalogue import assert_problem, client_of
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kinds import Colour, Kind, Kinds, create_tables
from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    PlainSerializer,
    TypeAdapter,
    field_serializer,
    field_validator,
)

from howdah import Database, connect
from howdah.errors import HowdahError
from howdah.fast.texts import Columns
from howdah.resource.bodies import quick_rows
from howdah.route.texts import read_json
from howdah.schemas import strict
from howdah.sent import ReadRows, SentRows, sent

pytestmark = pytest.mark.anyio

FIELDS = dict(Kind.__table__.columns)


class Scalars(BaseModel):
    small: int | None = None
    whole: int | None = None
    big: int | None = None
    price: Decimal | None = None
    exact: Decimal | None = None
    loose: Decimal | None = None
    double: float | None = None
    real: float | None = None
    flag: bool | None = None
    word: str | None = None
    fixed: str | None = None
    prose: str | None = "none: yet"
    ref: UUID | None = None
    day: dt.date | None = None
    hour: dt.time | None = None
    moment: dt.datetime | None = None
    local: dt.datetime | None = None
    span: dt.timedelta | None = None
    blob: bytes | None = None
    colour: Colour | None = None
    given: int = 8


class Short(BaseModel):
    small: int | None = None
    price: Decimal | None = Field(None, max_digits=8, decimal_places=2)
    double: float | None = Field(None, ge=-10)
    flag: bool = False
    word: str | None = Field(None, max_length=20)
    prose: str = "none: yet"
    ref: UUID | None = None
    given: int | None = None


class Shorts(Kinds):
    create_schema = Short


def digits(whole, places):
    limit = 10**whole - 1
    return st.decimals(-limit, limit, places=places, allow_nan=False)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = {
    "small": st.integers(-(2**15), 2**15 - 1),
    "whole": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "price": digits(6, 2) | st.just(Decimal("1E+3")) | st.just(Decimal("-0.00")),
    "exact": digits(20, 10),
    "loose": digits(9, 12) | st.just(Decimal("1E-30")) | st.just(Decimal("NaN")),
    "double": st.floats(),
    "real": st.floats(width=32),
    "flag": st.booleans(),
    "word": TEXTS.filter(lambda it: len(it) <= 20),
    "fixed": st.text("aé ", max_size=3),
    "prose": TEXTS,
    "ref": st.uuids(),
    "day": st.dates(),
    "hour": st.times(),
    "moment": st.datetimes(timezones=st.just(dt.UTC)),
    "local": st.datetimes(),
    "span": st.timedeltas(dt.timedelta(days=-9), dt.timedelta(days=9)),
    "blob": st.binary(max_size=9),
    "colour": st.sampled_from(Colour),
}
ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={n: it | st.none() for n, it in VALUES.items()}
        | {"given": st.integers(0, 9)},
    ),
    min_size=1,
    max_size=4,
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
    app.include_router(Shorts(db).router(prefix="/kinds"))
    async with client_of(app) as client:
        yield client


def stored(body):
    """Rows without what differs from one batch to another."""
    rows = json.loads(body)
    return [{n: v for n, v in r.items() if n not in {"id", "created_at"}} for r in rows]


def drawn(strategy, examples):
    """Values as a strategy draws them, the simplest ones first."""
    values = []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(value):
        values.append(value)

    draw()
    return values


async def test_a_text_stores_the_rows_that_arrays_store(db):
    store = Kinds(db).store
    for rows in drawn(ROWS, 50):
        models = [Scalars.model_construct(set(row), **row) for row in rows]

        by_text = await store.create_many(SentRows(models, FIELDS))
        by_arrays = await store.create_many([sent(model, FIELDS) for model in models])

        assert stored(by_text) == stored(by_arrays)


def test_only_values_that_json_has_exactly_go_as_text():
    columns = Columns.of(Scalars, FIELDS)

    texts = {"small", "whole", "big", "price", "exact", "loose", "double", "flag"}
    assert columns.texts == texts | {"word", "fixed", "prose", "ref", "day", "given"}
    assert columns.arrays == {
        *("real", "hour", "moment", "local", "span", "blob", "colour")
    }


class Serialized(BaseModel):
    word: str

    @field_serializer("word")
    def louder(self, word):
        return word.upper()


class Marked(BaseModel):
    word: Annotated[str, PlainSerializer(str.upper)]


class Deep(BaseModel):
    word: str
    extra: dict[str, int]


class Inside(BaseModel):
    word: str = Field(exclude=True)


@pytest.mark.parametrize("schema", [Serialized, Marked, Deep, Inside])
def test_a_schema_that_dumps_other_values_than_it_holds_sends_arrays(schema):
    assert Columns.of(schema, FIELDS) is None


LITERALS = (
    *("null", "true", "false", "0", "-0", "1", "1.0", "1.10", "2.50", "1e2", "1E+20"),
    *("1e400", "NaN", "-Infinity", "0.1", "123456789012345.25", "12345.123456789012"),
    *("1.", ".5", "01", "+1", "1e", "1_0", "0x1", "-0.0", "-0e1", "1e-400", "-", "00"),
    *("99999999999999999999", "1e-7", '"1"', '"a:b"', '"a::"', '""', '"NaN"', "[]"),
    *(r'"\u0000"', r'"\u003a"', r'"\u003A"', r'"\ud800"', r'"\ud83d\ude00"', r'"\\"'),
    *('"12345678-1234-5678-1234-567812345678"', '"é"', '"x:y:z, \\" \\\\ "', "{}"),
    '"urn:uuid:12345678-1234-5678-1234-567812345678"',
)
PAIRS = st.tuples(
    st.sampled_from([*Short.model_fields, "other", r"\u0077ord"]),
    st.sampled_from(LITERALS),
)
OBJECTS = st.lists(PAIRS, max_size=5).map(
    lambda pairs: "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"
)
BODIES = st.lists(OBJECTS, max_size=3).map(lambda rows: f"[{','.join(rows)}]")
STRICT = TypeAdapter(list[strict(Short)])


def said(model):
    values = model.__dict__.items()
    return {n: v for n, v in values if n in model.model_fields_set or v is not None}


@settings(max_examples=1500, deadline=None)
@given(BODIES)
def test_what_is_read_at_once_is_what_is_read_strictly(body):
    rows = read(body.encode())

    if rows is not None:
        models = STRICT.validate_python(read_json(body.encode()))
        assert rows.values == [said(model) for model in models]
        assert [said(model) for model in rows] == rows.values
        assert len(rows) == len(models)


read = quick_rows(Short, FIELDS, most=3)


@pytest.mark.parametrize(
    "body",
    [
        [{"word": "a:b", "price": 1.25, "small": 3, "flag": True}, {}],
        [{"price": "12.50", "ref": "12345678-1234-5678-1234-567812345678"}],
        [],
    ],
)
def test_usual_bodies_are_read_at_once(body):
    assert isinstance(read(json.dumps(body).encode()), ReadRows)


@pytest.mark.parametrize(
    "body",
    [
        '[{"word": "a", "word": "b"}]',
        '[{"word": "a", "word": "a:b"}]',
        r'[{"word": "a", "word": "\u003a"}]',
        r'[{"word": "\u0000"}]',
        '[{"price": 0.12345678901234567}]',
        '[{"price": 1E400}]',
        '[{"double": 1e999}]',
        '[{"double": NaN}]',
        '[{"double": "1"}]',
        '[{"other": 1}]',
        "[{}, {}, {}, {}]",
        "{}",
        '[{"word": "\xff"}]',
    ],
)
def test_bodies_with_more_to_say_are_left_to_the_strict_reader(body):
    assert read(body.encode("latin-1")) is None


class Loose(BaseModel):
    loose: Decimal


class Validated(BaseModel):
    word: str

    @field_validator("word")
    @classmethod
    def louder(cls, word):
        return word.upper()


class Chosen(BaseModel):
    word: str = Field(validation_alias=AliasChoices("Word", "word"))


class Lax(BaseModel):
    model_config = {"extra": "ignore"}

    word: str


@pytest.mark.parametrize("schema", [Loose, Validated, Chosen, Lax, Scalars])
def test_a_schema_that_takes_more_than_kinds_of_json_is_read_strictly(schema):
    assert quick_rows(schema, FIELDS, most=3) is None


class Verbatim(BaseModel):
    small: int | None = None
    big: int | None = Field(None, ge=-9)
    price: float | None = Field(None, lt=99999)
    double: float | None = None
    flag: bool | None = None
    word: str | None = Field(None, max_length=20)
    prose: str | None = None
    ref: UUID | None = None


SPELLED = {
    "small": ("0", "-0", "7", "-32768", "99999", "null"),
    "big": ("9223372036854775807", "99999999999999999999", "-0", "5"),
    "price": ("1", "1.1", "1.10", "-0", "-0.001", "2.675", "0.12499999999999999999"),
    "double": (
        "1.25",
        "-7",
        "0",
        "-0",
        "-0.0",
        "-0e1",
        "1e-400",
        "1E-400",
        "-1e-320",
        "5E-324",
        "1e+300",
    ),
    "flag": ("true", "false", "null"),
    "word": (r'"\u0061\n\"\\"', '"é"', '"a:b"', '""', r'"\ud83d\ude00"', '"  x "'),
    "prose": ('"null"', '"-0,"', '"1e-400 "', '"\u2028"', '":"'),
    "ref": (
        '"12345678-1234-5678-1234-56781234567a"',
        '"1234567812345678123456781234567A"',
        '"{12345678-1234-5678-1234-56781234567a}"',
        '"urn:uuid:12345678-1234-5678-1234-56781234567a"',
    ),
}
SPELT = st.lists(
    st.fixed_dictionaries(
        {}, optional={n: st.sampled_from(words) for n, words in SPELLED.items()}
    ).map(lambda row: ", ".join(f'"{name}" : {word}' for name, word in row.items())),
    min_size=1,
    max_size=3,
).map(lambda rows: f"[{', '.join(f'{{{row}}}' for row in rows)}]")


async def outcome(store, rows):
    """What is stored, as it is told again, or why nothing is."""
    try:
        return stored(await store.create_many(rows))
    except HowdahError as error:
        return (type(error), error.errors)


async def test_a_body_that_is_sent_on_stores_what_is_read_from_it(db):
    store, quick = Kinds(db).store, quick_rows(Verbatim, FIELDS, most=3)
    strictly = TypeAdapter(list[strict(Verbatim)])
    texts = 0
    for body in drawn(SPELT, 150):
        rows = quick(body.encode())
        assert rows is not None or '":' in body
        if rows is None:
            continue
        texts += rows.text is not None
        models = strictly.validate_python(read_json(body.encode()))

        by_body = await outcome(store, SentRows(rows, FIELDS))
        by_values = await outcome(store, SentRows(models, FIELDS))

        # A zero knows its sign as a text alone.
        assert str(by_body) == str(by_values), body
    assert texts > 9


class Filled(Verbatim):
    prose: str = "none: yet"


class Trimmed(Verbatim):
    model_config = {"str_strip_whitespace": True}


class Unrounded(BaseModel):
    loose: float


@pytest.mark.parametrize(
    ("schema", "row"),
    [
        (Trimmed, '{"word": " a "}'),
        (Unrounded, '{"loose": 1.10}'),
        (Filled, '{"word": "no prose"}'),
        (Verbatim, '{"price": 1.10000000000000001, "prose": "y"}'),
        (Verbatim, '{"double": 1E-400, "prose": "y"}'),
        (Verbatim, '{"double": -0, "prose": "y"}'),
    ],
)
def test_a_body_that_says_other_values_than_are_read_is_not_sent_on(schema, row):
    rows = quick_rows(schema, FIELDS, most=3)(f"[{row}]".encode())

    assert rows.text is None


def test_a_body_that_says_all_is_sent_on_and_not_looked_at_again():
    names = dict.fromkeys(SPELLED, None) | {"prose": "a:b", "price": 1.5}
    body = json.dumps([names] * 2).encode()

    rows = quick_rows(Filled, FIELDS, most=3)(body)

    assert rows.text is body
    assert (len(rows), rows.full, "values" in vars(rows)) == (2, True, False)


async def test_a_batch_stores_what_is_sent_and_fills_the_rest(client):
    rows = [
        {"word": "a:b", "price": 1.1, "given": None, "flag": True},
        {"small": 5, "double": 0.1, "prose": 'é "', "given": 3},
    ]

    answer = await client.post("/kinds/batch", json=rows[1:])
    mixed = await client.post("/kinds/batch", json=[{}, *rows[1:]])

    assert answer.status_code == mixed.status_code == 201, (answer.text, mixed.text)
    (one,) = answer.json()
    assert (one["small"], one["double"], one["prose"]) == (5, 0.1, 'é "')
    assert (one["flag"], one["given"], one["served"]) == (False, 3, "AB")
    assert [row["given"] for row in mixed.json()] == [7, 3]
    assert [row["prose"] for row in mixed.json()] == ["none: yet", 'é "']


async def test_a_batch_names_the_row_that_is_to_blame(client):
    large = await client.post("/kinds/batch", json=[{"small": 1}, {"small": 70000}])
    null = await client.post("/kinds/batch", json=[{"given": 1}, {"given": None}])
    twice = await client.post(
        "/kinds/batch",
        content='[{"word": "a", "word": "b"}]',
        headers={"Content-Type": "application/json"},
    )

    (fault,) = assert_problem(large, 422, "invalid")["errors"]
    assert (fault["field"], fault["index"]) == ("small", 1)
    (fault,) = assert_problem(null, 422, "invalid")["errors"]
    assert (fault["field"], fault["index"]) == ("given", 1)
    assert "twice" in assert_problem(twice, 422, "invalid")["errors"][0]["message"]
