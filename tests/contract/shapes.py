"""Models as nobody writes them by hand: columns of any type, keys of any kind.

A shape is made from a number, the same one each time, so that its tables are made once
and every worker and every later run means the same thing by it.
"""

import datetime as dt
import enum
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Annotated, Any

from hypothesis import strategies as st
from pydantic import PlainSerializer, create_model
from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Text,
    Time,
    Uuid,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, mapped_column, relationship
from sqlalchemy.types import TypeEngine

from howdah import Resource
from howdah.models import python_type
from howdah.query import Field, Operator

Number = Annotated[Decimal, PlainSerializer(float, return_type=float)]


class Fuzzed(DeclarativeBase):
    pass


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"
    ANY = "a color"


class Tone(enum.StrEnum):
    LOW = "low"
    HIGH = "high"


CHARACTERS = "aAbBzZ_%\\.*ßẞſİıΣςσäÄéǅﬀ𝔘\u0301 \u00a0'\"1"
texts = st.text(CHARACTERS, max_size=4) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3
)


def among(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def places(number: int, digits: int) -> st.SearchStrategy[Decimal]:
    top = 10**digits - 1
    return st.integers(-top, top).map(lambda n: Decimal(n).scaleb(-number))


moments = st.datetimes(timezones=st.just(dt.UTC)) | st.timedeltas(
    dt.timedelta(days=-1), dt.timedelta(days=1)
).map(lambda span: dt.datetime(2024, 2, 29, tzinfo=dt.UTC) + span)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A type of column: what it holds, often the same and at times extreme."""

    type: TypeEngine[Any]
    values: st.SearchStrategy[Any]
    schema: Any = None

    @property
    def annotation(self) -> Any:
        return self.schema or python_type(self.type)

    @property
    def operators(self) -> tuple[Operator, ...]:
        return Field(name="x", annotation=python_type(self.type)).operators


PROSE = Kind(type=Text(), values=texts)


def kinds(seed: int) -> dict[str, Kind]:
    return {
        "word": Kind(type=String(6), values=texts),
        "prose": PROSE,
        "small": Kind(
            type=SmallInteger(), values=st.integers(-2, 2) | among(-(2**15), 2**15 - 1)
        ),
        "whole": Kind(
            type=Integer(), values=st.integers(-2, 2) | among(-(2**31), 2**31 - 1)
        ),
        "big": Kind(
            type=BigInteger(), values=st.integers(-2, 2) | among(-(2**63), 2**63 - 1)
        ),
        "money": Kind(
            type=Numeric(12, 2),
            values=places(3, 3) | places(2, 12),
            schema=Number,
        ),
        "ratio": Kind(
            type=Numeric(15, 4), values=places(4, 2) | places(6, 8), schema=Number
        ),
        "float": Kind(
            type=Float(),
            values=among(-0.0, 0.1, 1.5, 1e22, 5e-324)
            | st.floats(allow_nan=False, allow_infinity=False),
        ),
        "short": Kind(
            type=REAL(),
            values=among(0.5, 1.5, 0.1)
            | st.floats(-(2**120), 2**120, allow_nan=False, width=32),
        ),
        "flag": Kind(type=Boolean(), values=st.booleans()),
        "day": Kind(
            type=Date(),
            values=st.dates(dt.date(2024, 2, 28), dt.date(2024, 3, 1)) | st.dates(),
        ),
        "hour": Kind(
            type=Time(), values=among(dt.time(), dt.time(12, 0, 0, 500)) | st.times()
        ),
        "moment": Kind(type=DateTime(timezone=True), values=moments),
        "color": Kind(type=Enum(Color, name=f"color_{seed}"), values=among(*Color)),
        "tone": Kind(
            type=Enum(
                Tone, native_enum=False, values_callable=lambda e: [m.value for m in e]
            ),
            values=among(*Tone),
        ),
        "ref": Kind(
            type=Uuid(),
            values=st.integers(0, 3).map(lambda n: uuid.UUID(int=n)) | st.uuids(),
        ),
    }


KEYS = {
    "whole": (("id", Integer(), st.integers(-3, 9)),),
    "text": (("id", Text(), texts),),
    "ref": (("id", Uuid(), st.integers(0, 9).map(lambda n: uuid.UUID(int=n))),),
    "pair": (("a", Integer(), st.integers(0, 2)), ("b", Text(), texts)),
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model with a parent, and resources of both."""

    seed: int
    keys: Mapping[str, st.SearchStrategy[Any]]
    columns: Mapping[str, Kind]
    things: type[Resource[Any]]
    parents: type[Resource[Any]]
    needed: frozenset[str]
    unique: str | None

    def __repr__(self) -> str:
        return f"Shape({self.seed}: {', '.join([*self.keys, *self.columns])})"


@cache
def shape(seed: int) -> Shape:
    """Make the shape with this number."""

    rng = random.Random(seed)
    known = kinds(seed)
    names = rng.sample(sorted(known), rng.randint(2, 6))
    columns = {name: known[name] for name in names}
    # A set has no order that is the same in every run; sorted names have.
    needed = frozenset(name for name in names if rng.random() < 0.3)
    unique = rng.choice([*names, None, None])
    mark = rng.choice([None, "is_active", "deleted_at"])
    key = KEYS[rng.choice(sorted(KEYS))]
    parent = _parent(seed)
    model = _model(seed, key, columns, needed, unique, mark, parent)
    return Shape(
        seed=seed,
        keys={name: values for name, _, values in key},
        columns=columns,
        things=_resource(model, key, columns, mark),
        parents=_parents(parent, columns),
        needed=needed,
        unique=unique,
    )


def _parent(seed: int) -> type[Any]:
    members = {
        "__tablename__": f"parent_{seed}",
        "id": mapped_column(Integer, primary_key=True),
        "name": mapped_column(Text),
        "things": relationship(f"Thing{seed}", back_populates="parent"),
    }
    return type(f"Parent{seed}", (Fuzzed,), members)


def _model(seed, key, columns, needed, unique, mark, parent) -> type[Any]:
    members = {
        "__tablename__": f"thing_{seed}",
        **{
            name: mapped_column(type_, primary_key=True, autoincrement=False)
            for name, type_, _ in key
        },
        **{
            name: mapped_column(kind.type, nullable=name not in needed)
            for name, kind in columns.items()
        },
        "given": mapped_column(Integer, server_default=text("7")),
        "touched_at": mapped_column(DateTime(timezone=True), onupdate=func.now()),
        "parent_id": mapped_column(
            ForeignKey(f"parent_{seed}.id", ondelete="SET NULL")
        ),
        "parent": relationship(parent, back_populates="things"),
    }
    if mark == "is_active":
        members[mark] = mapped_column(Boolean, server_default=text("true"))
    if mark == "deleted_at":
        members[mark] = mapped_column(DateTime(timezone=True))
    model = type(f"Thing{seed}", (Fuzzed,), members)
    if unique:
        column = model.__table__.c[unique]
        alive = None
        if mark:
            marked = model.__table__.c[mark]
            alive = marked if mark == "is_active" else marked.is_(None)
        Index(
            f"one_{seed}",
            column,
            unique=True,
            postgresql_where=alive,
            sqlite_where=alive,
        )
    return model


def _resource(model, key, columns, mark) -> type[Resource[Any]]:
    shown = {name: (python_type(type_), ...) for name, type_, _ in key}
    shown |= {name: (kind.annotation | None, None) for name, kind in columns.items()}
    written = create_model("Write", **shown)
    shown |= {
        "given": (int | None, None),
        "touched_at": (dt.datetime | None, None),
        "parent_id": (int | None, None),
    }
    members = {
        "create_schema": written,
        "update_schema": written,
        "read_schema": create_model("Read", **shown),
        "filters": (*columns, "parent__name"),
        "sort": tuple(columns),
        "search": tuple(name for name in columns if name in {"word", "prose"}),
        "soft_delete": mark,
    }
    return type("Things", (Resource,), {"model": model, **members})


def _parents(parent, columns) -> type[Resource[Any]]:
    members = {
        "create_schema": create_model("Write", name=(str, ...)),
        "update_schema": create_model("Write", name=(str, ...)),
        "read_schema": create_model("Read", id=(int, ...), name=(str, ...)),
        "filters": ("name", *(f"things__{name}" for name in columns)),
        "sort": ("name",),
    }
    return type("Parents", (Resource,), {"model": parent, **members})
