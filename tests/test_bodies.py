"""Bodies read at once: of odd ones too, nothing is read that strict readers refuse."""

import datetime as dt
import enum
import json
from decimal import Decimal
from typing import Literal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter
from sqlalchemy import (
    Boolean,
    Date,
    DateTime,
    Double,
    Enum,
    Integer,
    Interval,
    Numeric,
    String,
    Time,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from howdah.models import Moment, Money
from howdah.resource.bodies import late, quick_row, quick_rows
from howdah.route.texts import read_json
from howdah.schemas import create_schema, strict, update_schema


class Base(DeclarativeBase):
    pass


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10


class Event(Base):
    __tablename__ = "events"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(9))
    at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    local: Mapped[dt.datetime | None] = mapped_column(DateTime)
    day: Mapped[dt.date | None] = mapped_column(Date)
    hour: Mapped[dt.time | None] = mapped_column(Time)
    span: Mapped[dt.timedelta | None] = mapped_column(Interval)
    colour: Mapped[Colour | None] = mapped_column(Enum(Colour))
    level: Mapped[Level | None] = mapped_column(Enum(Level))
    plain: Mapped[str | None] = mapped_column(Enum("red", "x", name="plain"))
    price: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    ratio: Mapped[float | None] = mapped_column(Double)
    count: Mapped[int] = mapped_column(Integer, server_default=text("7"))
    flag: Mapped[bool] = mapped_column(Boolean, default=True)


FIELDS = dict(Event.__table__.columns)


class Given(BaseModel):
    """As people write schemas: names in other letters, moments, choices."""

    model_config = {"populate_by_name": True}

    name: str = Field(alias="theName", max_length=9)
    at: AwareDatetime | None = None
    local: dt.datetime | None = Field(None, validation_alias="when")
    day: dt.date | None = Field(None, ge=dt.date(2000, 1, 1))
    hour: dt.time | None = None
    span: dt.timedelta | None = None
    colour: Colour = Colour.RED
    level: Level | None = None
    plain: Literal["red", "x"] | None = None
    price: float | None = Field(None, ge=0)
    ref: UUID | None = None


class Priced(BaseModel):
    """With fields that say how they are written, which nobody asks a body."""

    name: str = "a"
    price: Money = Field(Decimal(1), ge=0)
    at: Moment | None = None


SCHEMAS = {
    "given": Given,
    "priced": Priced,
    "created": create_schema(Event),
    "updated": update_schema(Event),
}
NAMES = sorted({*FIELDS, *Given.model_fields, "theName", "when", "other", r"n\u0061me"})
LITERALS = (
    *("null", "true", "1", "10", "1.0", "-0", "1e2", "1e400", "NaN", "[]", "{}", "1."),
    *("0.1234567890123456789", "99999999999999999999", "7", '"7"', "1700000000"),
    *('"red"', '"RED"', '"x"', '"blue"', '"1"', '""', r'"\ud800"', r'"\u0000"'),
    *('"2024-02-03"', '"2024-02-30"', '"1999-12-31"', '"1700000000"', '"20240203"'),
    *('"2024-02-03T04:05:06Z"', '"2024-02-03T04:05:06"', '"2024-02-03 04:05+02:00"'),
    *('"2024-02-03T04:05:06.1234567-01:30"', '"0001-01-01T00:00:00+01:00"'),
    *('"04:05"', '"04:05:06.123Z"', '"24:00"', '"P1DT2H"', '"-P1D"', '"1 day"', '":"'),
    *('"12.50"', '"1_0"', "12.5", '"12345678-1234-5678-1234-567812345678"', "'x'"),
)
PAIRS = st.tuples(st.sampled_from(NAMES), st.sampled_from(LITERALS))
OBJECTS = st.lists(PAIRS, max_size=3).map(
    lambda pairs: ", ".join(
        f'"{n}": {v}' for n, v in [*pairs, *NAMED[: len(pairs) % 2]]
    )
)
NAMED = [("name", '"a"')]
BODIES = st.tuples(
    st.sampled_from(("", "\ufeff", " ")),
    st.lists(OBJECTS, min_size=1, max_size=2),
    st.sampled_from(("", "", "", "x", "]", "\0")),
).map(
    lambda said: (
        said[0] + "[" + ", ".join(f"{{{row}}}" for row in said[1]) + "]" + said[2]
    )
)
QUICK = {name: quick_rows(it, FIELDS, most=3) for name, it in SCHEMAS.items()}
QUICK_ROW = {name: quick_row(it, FIELDS, never_null=()) for name, it in SCHEMAS.items()}
STRICT = {name: TypeAdapter(list[strict(it)]) for name, it in SCHEMAS.items()}


def said(model):
    values = model.__dict__.items()
    return {n: v for n, v in values if n in model.model_fields_set or v is not None}


def typed(rows):
    return [{n: (type(v), _repr(v)) for n, v in row.items()} for row in rows]


def _repr(value):
    # The column gives each number as many digits as it has itself.
    return repr(value.normalize() if isinstance(value, Decimal) else value)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(SCHEMAS)), BODIES)
def test_what_is_read_at_once_is_what_is_read_strictly(name, body):
    rows = QUICK[name](body.encode())

    if rows is not None:
        models = STRICT[name].validate_python(read_json(body.encode()))
        assert typed(rows.values) == typed(map(said, models))
        assert [said(model) for model in rows] == rows.values
        assert [row.keys() for row in rows.given] == [
            model.model_fields_set for model in models
        ]


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(SCHEMAS)), OBJECTS)
def test_one_row_is_read_at_once_as_it_is_read_strictly(name, row):
    body = f"{{{row}}}".encode()

    read = QUICK_ROW[name](body)

    if read is not None:
        (model,) = STRICT[name].validate_python([read_json(body)])
        assert typed([read.__dict__]) == typed([model.__dict__])
        assert read.model_fields_set == model.model_fields_set
        assert isinstance(read, SCHEMAS[name])


def test_one_row_is_read_at_once():
    row = QUICK_ROW["given"](b'{"theName": "a:b", "at": "2024-02-03T04:05:06Z"}')
    change = quick_row(SCHEMAS["given"], FIELDS, never_null=("at",))

    assert row.name == "a:b"
    assert row.model_fields_set == {"name", "at"}
    assert QUICK_ROW["given"](b'{"name": "a", "name": "b"}') is None
    assert QUICK_ROW["given"](b'{"name": "a", "other": 1}') is None
    assert QUICK_ROW["given"](b'[{"name": "a"}]') is None
    assert change(b'{"name": "a", "at": null}') is None


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("given", {"theName": "a", "when": "2024-02-03T04:05:06", "colour": "blue"}),
        ("given", {"name": "a", "at": "2024-02-03T04:05:06Z", "plain": "x"}),
        ("given", {"theName": "a", "level": 10, "span": "P1D", "hour": "04:05"}),
        ("created", {"name": "a", "at": "2024-02-03T04:05:06Z", "count": 5}),
        ("created", {"name": "a", "colour": "red", "plain": "x", "level": 1}),
        ("created", {"name": "a", "price": 12.5, "ratio": 1.5, "day": "2024-02-03"}),
        ("updated", {"local": "2024-02-03T04:05:06", "flag": False, "hour": "04:05"}),
    ],
)
def test_moments_choices_and_other_names_are_read_at_once(name, row):
    rows = QUICK[name](json.dumps([row]).encode())

    (model,) = STRICT[name].validate_python([row])
    assert typed(rows.values) == typed([said(model)])


def test_a_body_in_other_names_is_not_sent_on():
    class Other(BaseModel):
        name: str = Field(alias="theName")

    rows = quick_rows(Other, FIELDS, most=3)(b'[{"theName": "a"}]')

    assert (rows.text, rows.values) == (None, [{"name": "a"}])


def test_names_that_are_crossed_are_left_to_the_strict_reader():
    class Crossed(BaseModel):
        name: str = Field(alias="plain")
        plain: str = Field(alias="name")

    assert quick_rows(Crossed, FIELDS, most=3) is None


def test_a_reader_is_built_when_there_is_something_to_read():
    built = []

    read = late(lambda: built.append(1))

    assert not built
    assert read(b"[]") is None
    assert read(b"[]") is None
    assert built == [1]
