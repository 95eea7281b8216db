"""The statements that read: one row, a page of rows, how many."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    ColumnElement,
    Integer,
    Select,
    Subquery,
    Text,
    bindparam,
    cast,
    false,
    func,
    literal_column,
    null,
    select,
)

from howdah.paging import KeysetPage, OffsetPage, Page
from howdah.query import SHOW_ALL, Query, Show
from howdah.statements.conditions import conditions
from howdah.statements.embedded import embedded, joining
from howdah.statements.forms import in_json, in_place, loses
from howdah.statements.layout import Layout, is_key, is_readable, tag
from howdah.statements.order import Part, behind, order
from howdah.statements.shown import ROW, exact_names, json, json_of, shown

__all__ = ("count", "get", "list_rows")


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
    """List a page; five values: JSON, first and last position, more, total.

    Parameters: `limit`, those of `filter_values`, `skip` of an offset page, and the
    `position_name` of each value of a keyset page's position that is not NULL.
    """
    parts = order(layout, query)
    backward = isinstance(page, KeysetPage) and page.direction == "prev"
    found = (
        select(*_columns(layout, query.show, parts))
        .where(*conditions(layout, query))
        .order_by(*(part.clause(backward=backward) for part in parts))
        # One row more tells whether there are more.
        .limit(_number("limit") + literal_column("1"))
    )
    rows = _placed(found, page, parts).subquery(
        ROW if _is_plain(query.show, parts) else _FOUND
    )
    numbered = _numbered(layout, rows, query.show, parts)
    return _page(numbered, _total(layout, query), backward=backward)


def count(layout: Layout, query: Query) -> Select[int]:
    """Count the rows that a query finds."""
    counted = select(func.count()).select_from(layout.table)
    return counted.where(*conditions(layout, query))


_FOUND = "__found"


def _is_plain(show: Show, parts: Sequence[Part]) -> bool:
    """Say whether rows are shown as they are, whole and alone: then they are JSON.

    And their place is in them: JSON has no NaN, which has one in an order.
    """
    return show == SHOW_ALL and not any(loses(part.column.type) for part in parts)


def _columns(
    layout: Layout, show: Show, parts: Sequence[Part]
) -> Iterable[ColumnElement[Any]]:
    """Return what is read of each row of a page, shown or not."""
    if _is_plain(show, parts):
        return shown(layout)
    fields = layout.columns if show.fields is None else show.fields
    needed = {layout.columns[name] for name in fields}
    needed |= {part.column for part in parts}
    needed |= joining(layout.table, (layout.embeds[name] for name in show.include))
    return (column for column in layout.table.columns if column in needed)


def _placed(rows: Select[Any], page: Page, parts: Sequence[Part]) -> Select[Any]:
    if isinstance(page, OffsetPage):
        return rows.offset(_number("skip"))
    if page.position is None:
        return rows
    backward = page.direction == "prev"
    return rows.where(behind(parts, page.position, backward=backward))


def _numbered(
    layout: Layout, rows: Subquery, show: Show, parts: Sequence[Part]
) -> Subquery:
    """Return each row's JSON, its position, its number, and how many rows there are."""
    columns: Any = rows.c
    if _is_plain(show, parts):
        names = {column: name for name, column in layout.columns.items()}
        row, place = json(rows), [columns[names[part.column]] for part in parts]
    else:
        row = _chosen(layout, rows, show)
        place = [in_place(columns[part.column.key]) for part in parts]
    return select(
        row.label("row"),
        cast(func.json_build_array(*place), Text).label("position"),
        func.row_number().over().label("number"),
        func.count().over().label("found"),
    ).subquery("numbered")


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


def _page(
    numbered: Subquery, total: ColumnElement[Any], *, backward: bool
) -> ClauseElement:
    page, limit = numbered.c, _number("limit")
    one: ColumnElement[int] = literal_column("1")
    near = func.max(page.position).filter(page.number == one)
    far = func.max(page.position).filter(page.number == func.least(page.found, limit))
    joined = (
        func.string_agg(page.row, literal_column("','"))
        .aggregate_order_by(page.number.desc() if backward else page.number)
        .filter(page.number <= limit)
    )
    return select(
        func.concat(literal_column("'['"), joined, literal_column("']'")),
        far if backward else near,
        near if backward else far,
        func.coalesce(func.max(page.found) > limit, false()),
        total,
    )


def _total(layout: Layout, query: Query) -> ColumnElement[Any]:
    if query.count != "exact":
        return null()
    return count(layout, query).scalar_subquery()


def _number(name: str) -> BindParameter[int]:
    return bindparam(name, type_=Integer)
