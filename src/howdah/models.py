"""Column types and mixins for people's models, and what a table's metadata tells.

For SQLModel (`...Fields`) and for SQLAlchemy declarative (`...Columns`). Knows no
statement and no connection.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, get_args

import sqlalchemy
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic import Field as Constrained
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Constraint,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Interval,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    event,
    func,
    true,
)
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Field, SQLModel

from howdah.digits import Digits
from howdah.errors import Misconfigured

__all__ = (
    "SECRET",
    "Base64",
    "DeletedAtColumns",
    "DeletedAtFields",
    "Money",
    "OptionalMoney",
    "SoftDeleteColumns",
    "SoftDeleteFields",
    "TimestampColumns",
    "TimestampFields",
    "constraint_fields",
    "constraint_named",
    "declared_model",
    "idempotency_table",
    "is_secret",
    "kept_answers",
    "mapped_columns",
    "python_type",
    "relationships",
    "secret",
    "unique_where",
    "unique_while_active",
)

Money = Annotated[
    Decimal,
    Constrained(max_digits=12, decimal_places=2),
    Digits(),
    PlainSerializer(float, return_type=float, when_used="json"),
]
"""NUMERIC(12, 2) in the database, Decimal in Python, a number in JSON.

Twelve digits fit a JSON number's double without loss, so the number is exact.
"""


def _number_or_null(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


OptionalMoney = Annotated[
    Decimal | None,
    Constrained(max_digits=12, decimal_places=2),
    Digits(),
    PlainSerializer(_number_or_null, return_type=float | None, when_used="json"),
]
"""Money that may be absent: `Money | None` loses its NUMERIC(12, 2) in SQLModel."""


def _from_base64(value: object) -> object:
    """Return the bytes of a text; bytes are those of a row, and stay."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("has to be base64, padded with =") from None


def _to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


Base64 = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(_to_base64, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "contentEncoding": "base64",
            "pattern": "^([A-Za-z0-9+/]{4})*"
            "([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
        }
    ),
]
"""BYTEA in the database, bytes in Python, base64 in JSON, which has no bytes."""

SECRET: Mapping[str, Any] = MappingProxyType({"secret": True})
"""The `info` of a column that nobody reads: `mapped_column(String, info=SECRET)`."""


def secret(**options: Any) -> Any:
    """Return a SQLModel Field whose column nobody reads, filters or sorts by.

    Only a schema that names it can write it: `password_hash: str = secret()`.
    """
    columns = dict(options.pop("sa_column_kwargs", {}))
    columns["info"] = {**columns.get("info", {}), **SECRET}
    return Field(sa_column_kwargs=columns, **options)


def is_secret(column: Column[Any]) -> bool:
    """Say whether nobody may read the column, not even by asking for what it holds."""
    return bool(column.info.get("secret"))


class TimestampFields(SQLModel):
    """`created_at` and `updated_at` for SQLModel, kept by the database's clock."""

    # Without it, reading `updated_at` after an update would be a hidden query.
    __mapper_args__: ClassVar[dict[str, Any]] = {"eager_defaults": True}

    created_at: datetime = Field(
        default=None, nullable=False, sa_column_kwargs={"server_default": func.now()}
    )
    updated_at: datetime | None = Field(
        default=None, sa_column_kwargs={"onupdate": func.now()}
    )


class SoftDeleteFields(SQLModel):
    """`is_active` for SQLModel: false is a deleted row that can be restored."""

    is_active: bool = Field(default=True, sa_column_kwargs={"server_default": true()})


class DeletedAtFields(SQLModel):
    """`deleted_at` for SQLModel: the moment in which the row was deleted."""

    deleted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


class TimestampColumns:
    """`created_at` and `updated_at` for declarative, kept by the database's clock."""

    __mapper_args__: ClassVar[dict[str, Any]] = {"eager_defaults": True}

    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    updated_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), onupdate=func.now()
    )


@event.listens_for(TimestampColumns, "before_insert", propagate=True)
def _not_changed_yet(_mapper: Any, _connection: Any, row: Any) -> None:
    """Say what an INSERT leaves NULL, or SQLAlchemy would ask for it, row by row."""
    vars(row).setdefault("updated_at", None)


class SoftDeleteColumns:
    """`is_active` for declarative: false is a deleted row that can be restored."""

    is_active: Mapped[bool] = mapped_column(
        Boolean, default=True, server_default=true()
    )


class DeletedAtColumns:
    """`deleted_at` for declarative: the moment in which the row was deleted."""

    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


def unique_while_active(*fields: str, soft_delete: str = "is_active") -> Index:
    """Return an index for `__table_args__`: values are unique among rows not deleted.

    `soft_delete` is the column that marks deleted rows, a boolean or a moment.
    """
    return _ActiveIndex(fields, soft_delete)


class _ActiveIndex(Index):
    """A partial unique index that reads its condition and name off its table."""

    inherit_cache = False

    def __init__(self, fields: tuple[str, ...], mark: str) -> None:
        self._mark = mark
        super().__init__(None, *fields, unique=True)

    def _set_parent(self, parent: Any, **options: Any) -> None:
        mark = parent.columns.get(self._mark)
        if mark is None:
            raise Misconfigured(
                f"table {parent.name!r} has no column {self._mark!r}; name the one "
                "that marks deleted rows: unique_while_active(..., soft_delete=...)"
            )
        super()._set_parent(parent, **options)
        active = mark if isinstance(mark.type, Boolean) else mark.is_(None)
        for dialect in ("postgresql", "sqlite"):
            self.dialect_options[dialect]["where"] = active
        columns = "_".join(("", *(column.name for column in self.columns)))
        self.name = quoted_name(_joined(parent.name, columns, "_active_key"), None)


_ANSWERS = "howdah_idempotency"


def idempotency_table(metadata: MetaData, *, schema: str | None = None) -> Table:
    """Return the table that keeps answers to requests with an `Idempotency-Key`.

    It is added where the metadata has none yet, for Alembic to write its migration.
    Call it beside the models, before a resource is made of one.
    """
    known = kept_answers(metadata)
    if known is not None:
        return known
    return Table(
        _ANSWERS,
        metadata,
        # A digest of the resource, the caller and the key that the client sent.
        Column("id", LargeBinary, primary_key=True),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("body", Text, nullable=False),
        Column("tag", Text),
        Column("key", Text),
        Column("created_at", DateTime(timezone=True), nullable=False, index=True),
        schema=schema,
    )


def kept_answers(metadata: MetaData) -> Table | None:
    """Return the table that `idempotency_table` has added to a metadata, if any."""
    named = (table for table in metadata.tables.values() if table.name == _ANSWERS)
    return next(named, None)


def declared_model(cls: type) -> type[Any] | None:
    """Return the model that a class is declared with: `class Items(Resource[Item])`."""
    for base in getattr(cls, "__orig_bases__", ()):
        for argument in get_args(base):
            if isinstance(argument, type):
                return argument
    return None


def mapped_columns(model: type[Any]) -> dict[str, Column[Any]]:
    """Return the columns of a mapped class by the names of its attributes."""
    try:
        mapper = sqlalchemy.inspect(model)
    except NoInspectionAvailable:
        raise Misconfigured(
            f"{model.__name__} is not a mapped class; give it table=True (SQLModel) "
            "or derive it from your declarative base"
        ) from None
    return {
        attribute.key: attribute.columns[0]
        for attribute in mapper.column_attrs
        if isinstance(attribute.columns[0], Column)
    }


def relationships(model: type[Any]) -> dict[str, type[Any]]:
    """Return the models that a mapped class's relations lead to, by their names."""
    mapper = sqlalchemy.inspect(model)
    return {
        name: relation.mapper.class_ for name, relation in mapper.relationships.items()
    }


def python_type(type_: TypeEngine[Any]) -> type[Any]:
    """Return the Python type of a column type's values; a decorated type is its own."""
    # An interval is stored as a moment where a database has none, and decorates that.
    while isinstance(type_, TypeDecorator) and not isinstance(type_, Interval):
        type_ = type_.impl_instance
    return type_.python_type


def constraint_fields(name: str | None, tables: Iterable[Table]) -> tuple[str, ...]:
    """Return the columns of the constraint or unique index with this name, if any.

    A constraint without a name is known by the one that PostgreSQL gives it.
    """
    if name is None:
        return ()
    for table in tables:
        found = constraint_named(name, table)
        if found is not None:
            return _columns_of(table, found)
    return ()


def constraint_named(name: str, table: Table) -> Constraint | Index | None:
    """Return the constraint or index of a table that PostgreSQL knows by a name."""
    for constraint in table.constraints:
        columns = _columns_of(table, constraint)
        given = constraint.name or _default_name(table, constraint, columns)
        if str(given) == name:
            return constraint
    return next((index for index in table.indexes if index.name == name), None)


def unique_where(
    table: Table, columns: Iterable[Column[Any]]
) -> ColumnElement[bool] | None:
    """Return the condition under which columns are unique together, None for always.

    Raises Misconfigured where nothing declares them so.
    """
    wanted = set(columns)
    for constraint in table.constraints:
        if not isinstance(constraint, UniqueConstraint | PrimaryKeyConstraint):
            continue
        if set(constraint.columns) == wanted and not constraint.deferrable:
            return None
    for index in table.indexes:
        if index.unique and set(index.expressions) == wanted:
            where: ColumnElement[bool] | None
            where = index.dialect_options["postgresql"]["where"]
            return where
    names = ", ".join(sorted(column.name for column in wanted))
    raise Misconfigured(
        f"table {table.name!r} has no unique constraint or index on {names}; an upsert "
        "needs one to tell new rows from known ones"
    )


def _columns_of(table: Table, constraint: Constraint | Index) -> tuple[str, ...]:
    columns = tuple(column.name for column in getattr(constraint, "columns", ()))
    if not columns and isinstance(constraint, CheckConstraint):
        # A rule that is written as text: the columns are the words that are columns.
        words = set(re.findall(r"\w+", str(constraint.sqltext)))
        columns = tuple(c.name for c in table.columns if c.name in words)
    return columns


def _default_name(
    table: Table, constraint: Constraint, columns: tuple[str, ...]
) -> str:
    # https://www.postgresql.org/docs/18/sql-createtable.html: ChooseConstraintName
    if isinstance(constraint, PrimaryKeyConstraint):
        return _joined(table.name, "", "_pkey")
    suffix = "_key"
    if isinstance(constraint, ForeignKeyConstraint):
        suffix = "_fkey"
    elif isinstance(constraint, CheckConstraint):
        # PostgreSQL names the column only where there is one.
        columns, suffix = columns if len(columns) == 1 else (), "_check"
    return _joined(table.name, "_".join(("", *columns)), suffix)


def _joined(table: str, columns: str, suffix: str) -> str:
    """Return a name of 63 bytes at most: the longer part is cut, byte by byte."""
    first, second = table.encode(), columns.encode()
    # The part's own underline is not counted where the lengths are compared.
    while len(first) + len(second) + len(suffix) > _LONGEST_NAME:
        if len(first) > len(second) - 1:
            first = first[:-1]
        else:
            second = second[:-1]
    return first.decode(errors="ignore") + second.decode(errors="ignore") + suffix


_LONGEST_NAME = 63
