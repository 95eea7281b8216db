"""The statements that read: one row, a page of rows, how many."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Select,
    Subquery,
    Text,
    cast,
    func,
    literal_column,
    null,
    select,
)

from howdah.paging import Page
from howdah.query import SHOW_ALL, Query, Show
from howdah.statements.conditions import conditions
from howdah.statements.embedded import embedded, joining
from howdah.statements.forms import in_json, in_place, loses
from howdah.statements.layout import Layout, is_key, is_readable, tag
from howdah.statements.order import Part, is_ranked, order
from howdah.statements.shown import ROW, exact_names, json, json_of, shown
from howdah.statements.slices import order_name, sliced, with_order

__all__ = ("SEPARATOR", "count", "found", "get", "list_rows", "place_names")


def get(layout: Layout, show: Show = SHOW_ALL) -> ClauseElement:
    """Return the statement for one row by its key: its JSON and its tag."""
    table = layout.table
    columns = (
        *shown(layout, show.fields),
        *embedded(layout.embeds, show.include, table),
    )
    return (
        select(json_of(columns, table), tag())
        .select_from(table)
        .where(is_key(layout), *is_readable(layout))
    )


def list_rows(layout: Layout, query: Query, page: Page) -> ClauseElement:
    """List a page; four values: rows, their number, their positions, and the total.

    Rows and positions are JSON, joined by `SEPARATOR`: one more than the page holds
    where more follow. Positions are NULL where rows tell them, see `place_names`; so is
    the total where nobody asks for the exact one. Parameters: `limit`, those of
    `filter_values`, `skip` of an offset page, and the `position_name` of each value of
    a keyset page's position that is not NULL.
    """
    parts = order(layout, query)
    plain = place_names(layout, query) is not None
    columns = _columns(layout, query, parts)
    rows = sliced(layout, query, page, columns, parts).subquery(
        ROW if plain else _FOUND
    )
    row = json(rows) if plain else _chosen(layout, rows, query.show)
    exact = query.count == "exact"
    return select(
        _joined(row),
        func.count(),
        null() if plain else _joined(_place(rows, parts)),
        count(layout, query).scalar_subquery() if exact else null(),
    ).select_from(rows)


def place_names(layout: Layout, query: Query) -> tuple[str, ...] | None:
    """Return the names in JSON of what a row's position is made of, if rows show it.

    They do where they are shown as they are, whole and alone, and lose nothing: JSON
    has no NaN, which has a place in an order.
    """
    columns = [part.column for part in order(layout, query)]
    lost = any(loses(column.type) for column in columns)
    if query.show != SHOW_ALL or is_ranked(layout, query) or lost:
        return None
    names = {column: name for name, column in layout.columns.items()}
    return tuple(names[column] for column in columns)


def count(layout: Layout, query: Query) -> Select[int]:
    """Count the rows that a query finds."""
    counted = select(func.count()).select_from(layout.table)
    return counted.where(*conditions(layout, query))


def found(layout: Layout, query: Query) -> Select[int]:
    """Find the rows of a query and show nothing of them; for EXPLAIN to think of."""
    one: ColumnElement[int] = literal_column("1")
    return select(one).select_from(layout.table).where(*conditions(layout, query))


_FOUND = "__found"
SEPARATOR = "\x1e"
"""Stands between JSON texts: it can be in none, inside of strings it is escaped."""


def _columns(
    layout: Layout, query: Query, parts: Sequence[Part]
) -> Iterable[ColumnElement[Any]]:
    """Return what is read of each row of a page, shown or not."""
    if place_names(layout, query) is not None:
        return shown(layout)
    show = query.show
    fields = layout.columns if show.fields is None else show.fields
    needed = {layout.columns[name] for name in fields}
    needed |= joining(layout.table, (layout.embeds[name] for name in show.include))
    return (
        *(column for column in layout.table.columns if column in needed),
        *with_order(parts),
    )


def _chosen(layout: Layout, rows: Subquery, show: Show) -> ColumnElement[str]:
    """Return the JSON of what is chosen of these rows, and what is embedded in them."""
    columns: Any = rows.c
    exact = exact_names(layout)
    chosen = (
        in_json(columns[column.key], exact=name in exact).label(name)
        for name, column in layout.columns.items()
        if show.fields is None or name in show.fields
    )
    return json_of((*chosen, *embedded(layout.embeds, show.include, rows)), rows)


def _place(rows: Subquery, parts: Sequence[Part]) -> ColumnElement[str]:
    columns: Any = rows.c
    place = (in_place(columns[order_name(n)]) for n, _ in enumerate(parts))
    return cast(func.json_build_array(*place), Text)


def _joined(texts: ColumnElement[str]) -> ColumnElement[str]:
    """Return the texts of all rows, in the order in which they are found."""
    # Numbering rows, to pick from them, costs more than all else that is done here.
    return func.string_agg(texts, literal_column(f"chr({ord(SEPARATOR)})"))
