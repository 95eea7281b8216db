"""The statements that read: one row, a page of rows, how many."""

from collections.abc import Sequence
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
from howdah.query import Query
from howdah.statements.conditions import conditions
from howdah.statements.layout import Layout, is_key, is_readable, tag
from howdah.statements.order import Part, behind, order
from howdah.statements.shown import ROW, json, json_of, shown

__all__ = ("count", "get", "list_rows")


def get(layout: Layout) -> ClauseElement:
    """Return the statement for one row by its key: its JSON and its tag."""
    return (
        select(json_of(shown(layout), layout.table), tag())
        .select_from(layout.table)
        .where(is_key(layout), *is_readable(layout))
    )


def list_rows(layout: Layout, query: Query, page: Page) -> ClauseElement:
    """List a page; five values: JSON, first and last position, more, total.

    Parameters: `limit`, those of `filter_values`, `skip` of an offset page, and the
    `position_name` of each value of a keyset page's position that is not NULL.
    """
    parts = order(layout, query)
    backward = isinstance(page, KeysetPage) and page.direction == "prev"
    rows = (
        select(*shown(layout))
        .where(*conditions(layout, query))
        .order_by(*(part.clause(backward=backward) for part in parts))
        # One row more tells whether there are more.
        .limit(_number("limit") + literal_column("1"))
    )
    return _page(layout, _sliced(rows, page, parts), query, parts, backward=backward)


def count(layout: Layout, query: Query) -> Select[int]:
    """Count the rows that a query finds."""
    counted = select(func.count()).select_from(layout.table)
    return counted.where(*conditions(layout, query))


def _sliced(rows: Select[Any], page: Page, parts: Sequence[Part]) -> Subquery:
    if isinstance(page, OffsetPage):
        rows = rows.offset(_number("skip"))
    elif page.position is not None:
        backward = page.direction == "prev"
        rows = rows.where(behind(parts, page.position, backward=backward))
    return rows.subquery(ROW)


def _page(
    layout: Layout,
    rows: Subquery,
    query: Query,
    parts: Sequence[Part],
    *,
    backward: bool,
) -> ClauseElement:
    names = {column: name for name, column in layout.columns.items()}
    position = func.json_build_array(*(rows.c[names[part.column]] for part in parts))
    numbered = select(
        json(rows).label("row"),
        cast(position, Text).label("position"),
        func.row_number().over().label("number"),
        func.count().over().label("found"),
    ).subquery("numbered")
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
        _total(layout, query),
    )


def _total(layout: Layout, query: Query) -> ColumnElement[Any]:
    return null() if query.count is None else count(layout, query).scalar_subquery()


def _number(name: str) -> BindParameter[int]:
    return bindparam(name, type_=Integer)
