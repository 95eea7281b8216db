"""Columns and rows as the JSON that read schemas describe, written by PostgreSQL."""

from collections.abc import Container, Iterable
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Subquery,
    Text,
    cast,
    func,
    literal_column,
    select,
)

from howdah.schemas import exact_fields
from howdah.statements.forms import in_json
from howdah.statements.layout import Layout

__all__ = (
    "ROW",
    "exact_names",
    "json",
    "json_list",
    "json_of",
    "shown",
)

ROW = "__row"
"""The name of a subquery that is a row; one named like a table would stand for it."""


def shown(
    layout: Layout, fields: Container[str] | None = None
) -> Iterable[ColumnElement[Any]]:
    """Yield the columns that are read, or some, under the names they have in JSON."""
    exact = exact_names(layout)
    for name, column in layout.columns.items():
        if fields is None or name in fields:
            yield in_json(column, exact=name in exact).label(name)


def exact_names(layout: Layout) -> frozenset[str]:
    """Return the names in JSON of the numbers that are texts there, to lose nothing."""
    return frozenset() if layout.schema is None else exact_fields(layout.schema)


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
    # Cheaper than string_agg of a text for each row, and than json_agg, which writes
    # blanks between rows.
    text = cast(func.array_to_json(func.array_agg(rows.table_valued())), Text)
    return func.coalesce(text, literal_column("'[]'"))
