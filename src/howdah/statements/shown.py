"""Columns and rows as the JSON that read schemas describe, written by PostgreSQL."""

from collections.abc import Container, Iterable
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Subquery,
    Text,
    case,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.types import Enum

from howdah.statements.layout import Layout

__all__ = ("ROW", "in_json", "json", "json_list", "json_of", "quoted", "shown")

ROW = "__row"
"""The name of a subquery that is a row; one named like a table would stand for it."""


def shown(
    layout: Layout, fields: Container[str] | None = None
) -> Iterable[ColumnElement[Any]]:
    """Yield the columns that are read, or some, under the names they have in JSON."""
    for name, column in layout.columns.items():
        if fields is None or name in fields:
            yield in_json(column).label(name)


def json(rows: CTE | Subquery) -> ColumnElement[str]:
    """Return the JSON of each of these rows."""
    return cast(func.row_to_json(rows.table_valued()), Text)


def json_of(
    columns: Iterable[ColumnElement[Any]], source: FromClause
) -> ColumnElement[str]:
    """Return the JSON of some columns of a source that has others as well."""
    row = select(*columns).correlate(source).subquery(ROW)
    return select(json(row)).scalar_subquery()


def json_list(rows: CTE | Subquery) -> ColumnElement[str]:
    """Return the JSON list of these rows."""
    # Cheaper than json_agg, and without the blanks that it writes between rows.
    joined = func.string_agg(json(rows), literal_column("','"))
    return func.concat(literal_column("'['"), joined, literal_column("']'"))


def in_json(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column as schemas show it: the value of an enum, not its label."""
    enum = column.type.enum_class if isinstance(column.type, Enum) else None
    if enum is None:
        return column
    values = {label: member.value for label, member in enum.__members__.items()}
    plain = all(isinstance(value, str) for value in values.values())
    if not plain or not values.keys() >= set(column.type.enums):  # type: ignore[attr-defined] # an Enum
        return column
    pairs = {quoted(label): quoted(value) for label, value in values.items()}
    return case(pairs, value=cast(column, Text)) if values else column


def quoted(value: str) -> ColumnElement[str]:
    """Return a text of our own as a part of the statement."""
    # Part of the text, so that a plan has no parameters but those of the request.
    return literal_column("'{}'".format(value.replace("'", "''")), Text)
