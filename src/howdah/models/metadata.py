"""What a table's metadata tells: constraints and their names, kept answers."""

import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
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
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from howdah.errors import Misconfigured

__all__ = (
    "constraint_fields",
    "constraint_named",
    "idempotency_table",
    "joined",
    "kept_answers",
    "python_type",
    "unique_where",
)

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
        return joined(table.name, "", "_pkey")
    suffix = "_key"
    if isinstance(constraint, ForeignKeyConstraint):
        suffix = "_fkey"
    elif isinstance(constraint, CheckConstraint):
        # PostgreSQL names the column only where there is one.
        columns, suffix = columns if len(columns) == 1 else (), "_check"
    return joined(table.name, "_".join(("", *columns)), suffix)


def joined(table: str, columns: str, suffix: str) -> str:
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
