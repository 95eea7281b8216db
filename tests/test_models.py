"""Column types and mixins, and what a table's metadata tells."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Generic, TypeVar

import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable
from sqlmodel import Field, SQLModel

from howdah import (
    Money,
    OptionalMoney,
    SoftDeleteColumns,
    SoftDeleteFields,
    TimestampColumns,
    TimestampFields,
)
from howdah.errors import Duplicate, Misconfigured
from howdah.models import constraint_fields, declared_model, mapped_columns

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    pass


class Coin(TimestampFields, SoftDeleteFields, table=True):
    __tablename__ = "coins"

    id: int | None = Field(default=None, primary_key=True)
    name: str
    value: Money
    fee: OptionalMoney = None


class Bill(TimestampColumns, SoftDeleteColumns, Base):
    __tablename__ = "bills"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column("bill_name", String(20))


class Priced(BaseModel):
    price: Money
    tax: OptionalMoney = None


@pytest.mark.parametrize(
    ("given", "json"),
    [
        ("0.01", '{"price":0.01,"tax":null}'),
        ("9999999999.99", '{"price":9999999999.99,"tax":null}'),
        ("-5", '{"price":-5.0,"tax":null}'),
    ],
)
def test_money_is_a_decimal_inside_and_a_number_outside(given, json):
    priced = Priced(price=given)

    assert priced.price == Decimal(given)
    assert priced.model_dump_json() == json


@pytest.mark.parametrize("given", ["0.001", "12345678901", "NaN", "Infinity", "x", ""])
@pytest.mark.parametrize("field", ["price", "tax"])
def test_money_that_its_column_cannot_hold_is_refused(field, given):
    with pytest.raises(ValidationError):
        Priced(**{"price": "1", field: given})


def ddl(model: type) -> str:
    create = CreateTable(model.__table__).compile(dialect=postgresql.dialect())
    return " ".join(str(create).split())


def test_the_fields_of_sqlmodel_are_the_columns_they_should_be():
    created = ddl(Coin)

    assert "value NUMERIC(12, 2) NOT NULL" in created
    assert "fee NUMERIC(12, 2)," in created
    assert "created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL" in created
    assert "updated_at TIMESTAMP WITH TIME ZONE," in created
    assert "is_active BOOLEAN DEFAULT true NOT NULL" in created


def test_the_columns_of_declarative_are_the_same():
    created = ddl(Bill)

    assert "created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL" in created
    assert "updated_at TIMESTAMP WITH TIME ZONE," in created
    assert "is_active BOOLEAN DEFAULT true NOT NULL" in created


@pytest.mark.parametrize("model", [Coin, Bill])
async def test_what_the_database_wrote_can_be_read_at_once(db, model):
    async with db.engine.begin() as connection:
        await connection.run_sync(model.__table__.create)
    before = datetime.now(UTC)
    money = {"value": Decimal("1.50")} if model is Coin else {}

    async with db.transaction() as session:
        row = model(name="a", **money)
        session.add(row)
        await session.flush()
        assert row.updated_at is None
        assert row.created_at.utcoffset().total_seconds() == 0
        row.name = "b"
        await session.flush()
        assert row.updated_at >= row.created_at
        assert row.is_active is True

    assert abs((row.updated_at - before).total_seconds()) < 60


METADATA = MetaData()
USERS = Table(
    "users",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("email", Text, unique=True),
    Column("boss", ForeignKey("users.id")),
    Column("first", Text),
    Column("last", Text),
    Column("age", Integer, CheckConstraint("age > 0", name="of_age")),
    Column("handle", Text, index=True, unique=True),
    UniqueConstraint("first", "last"),
    UniqueConstraint("first", "age", name="named"),
)
Index("lower_email", text("lower(email)"), unique=True, _table=USERS)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("users_pkey", ("id",)),
        ("users_email_key", ("email",)),
        ("users_boss_fkey", ("boss",)),
        ("users_first_last_key", ("first", "last")),
        ("named", ("first", "age")),
        ("ix_users_handle", ("handle",)),
        ("of_age", ()),
        ("lower_email", ()),
        ("elsewhere", ()),
        (None, ()),
    ],
)
def test_a_constraint_is_known_by_its_name(name, fields):
    assert constraint_fields(name, [USERS]) == fields


LONG = Table(
    "a_table_whose_name_is_long_enough_to_be_cut",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("a_column_whose_name_is_long_as_well", Text, unique=True),
    Column("ä_column_with_more_bytes_than_characters_ää", Text, unique=True),
)


@pytest.mark.parametrize("column", list(LONG.c)[1:], ids=["long", "bytes"])
async def test_a_name_that_postgresql_shortens_is_known_too(db, column):
    async with db.engine.begin() as connection:
        await connection.run_sync(LONG.metadata.create_all)
    insert = f"INSERT INTO {LONG.name} (id, \"{column.name}\") VALUES ($1, 'x')"
    await db.lane.fetchrow(insert, [1])

    with pytest.raises(Duplicate) as caught:
        await db.lane.fetchrow(insert, [2])

    assert constraint_fields(caught.value.constraint, [LONG]) == (column.name,)


T = TypeVar("T")


class Of(Generic[T]):
    pass


def test_the_model_of_a_declaration_is_found():
    class Coins(Of[Coin]):
        pass

    class Any(Of[T]):
        pass

    class Plain:
        pass

    assert declared_model(Coins) is Coin
    assert declared_model(Any) is None
    assert declared_model(Plain) is None


def test_columns_have_the_names_of_attributes():
    names = {"id", "name", "created_at", "updated_at", "is_active"}

    assert set(mapped_columns(Bill)) == names
    assert mapped_columns(Bill)["name"].name == "bill_name"


def test_a_class_without_a_table_is_refused():
    class Schema(SQLModel):
        id: int

    with pytest.raises(Misconfigured, match="Schema is not a mapped class; give it "):
        mapped_columns(Schema)
