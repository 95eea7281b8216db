"""The rows of one page: a range of an index wherever there is one that serves.

PostgreSQL reads one range of an index for a simple condition, but not for a choice of
conditions. So where an index has the order, what lies behind a position is asked for
range by range, and what a search finds is found before it is put in order.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    CTE,
    Alias,
    ColumnElement,
    Select,
    Subquery,
    and_,
    func,
    literal_column,
    select,
    union_all,
)

from howdah.indexes import Indexes
from howdah.paging import KeysetPage, OffsetPage, Page
from howdah.query import Query
from howdah.statements.bounds import Bounds
from howdah.statements.conditions import conditions, holds, searched_columns
from howdah.statements.layout import Layout
from howdah.statements.order import Part, Stretch, behind, stretches

__all__ = ("order_name", "sliced", "with_order")


def sliced(
    layout: Layout,
    query: Query,
    page: Page,
    columns: Iterable[ColumnElement[Any]],
    parts: Sequence[Part],
) -> Select[Any]:
    """Select columns of a page's rows, and of one more, which tells of more pages."""
    found = select(*columns).where(*conditions(layout, query))
    bounds = Bounds.of(layout, query, page)
    if query.search is not None:
        return _searched(layout, found, page, parts, bounds)
    if not isinstance(page, OffsetPage):
        indexed = _indexed(layout, query, parts)
        ranges = _ranges(page, parts, indexed)
        if ranges:
            return _joined(found, page, parts, bounds, ranges, indexed)
    return bounds.cut(_behind(found, page, parts), _ordered(page, parts))


def order_name(number: int) -> str:
    """Return the name of an order's part where it is selected, counted from 0."""
    return f"__order_{number}"


def with_order(parts: Sequence[Part]) -> Iterator[ColumnElement[Any]]:
    """Yield the parts of an order under those names."""
    for n, part in enumerate(parts):
        yield part.column.label(order_name(n))


def _indexed(layout: Layout, query: Query, parts: Sequence[Part]) -> int:
    """Return how many parts of the order an index has."""
    mark = layout.soft_delete if query.active_only else None
    indexes = Indexes(table=layout.table, soft_delete=mark)
    return indexes.order(*(part.column for part in parts))


def _ranges(page: KeysetPage, parts: Sequence[Part], indexed: int) -> list[Stretch]:
    """Return the ranges of an index that make up what is behind the page's position.

    Without an index each would be a look at all rows, so there are none.
    """
    if not indexed or (page.position is None and not parts[0].nullable):
        return []
    backward = page.direction == "prev"
    return stretches(parts, page.position, backward=backward, indexed=indexed)


def _joined(
    found: Select[Any],
    page: KeysetPage,
    parts: Sequence[Part],
    bounds: Bounds,
    ranges: Sequence[Stretch],
    indexed: int,
) -> Select[Any]:
    """Select a page from the beginnings of several ranges."""

    def beginning(rows: Select[Any], stretch: Stretch) -> Select[Any]:
        backward = page.direction == "prev"
        clauses = stretch.clauses(parts, backward=backward, indexed=indexed)
        return bounds.cut(rows.where(stretch.condition), clauses)

    if len(ranges) == 1:
        return beginning(found, ranges[0])
    rows = _with_order(found, parts)
    beginnings = [beginning(rows, stretch) for stretch in ranges]
    # A SELECT around each, as a bare one would give its ORDER BY to the whole.
    joined = union_all(*(select(each.subquery()) for each in beginnings))
    return _outer(found, joined.subquery("__ranges"), page, parts, bounds)


def _searched(
    layout: Layout,
    found: Select[Any],
    page: Page,
    parts: Sequence[Part],
    bounds: Bounds,
) -> Select[Any]:
    """Select a page of what a search finds, found before it is put in order.

    PostgreSQL does not know how many rows hold the words. Left to choose, it may walk
    through the whole table in the page's order in the hope of meeting some soon.
    """
    rows = _with_order(_behind(found, page, parts), parts)
    if isinstance(page, OffsetPage) or len(parts) > 1:
        return _outer(found, _fenced(rows), page, parts, bounds)
    near = _near(rows, page, parts, bounds)
    number = select(func.count()).select_from(near).scalar_subquery()
    # Only where a glance finds one: most words are in few rows.
    many = and_(_glance(layout, page, parts, bounds), number > bounds.most())
    both = union_all(
        select(near).where(many),
        select(_fenced(rows.where(~many))),
    )
    return _outer(found, both.subquery("__both"), page, parts, bounds)


def _fenced(rows: Select[Any]) -> Subquery:
    """Return rows that are found without a thought of what becomes of them."""
    return rows.offset(literal_column("0")).subquery("__matches")


def _near(
    rows: Select[Any], page: KeysetPage, parts: Sequence[Part], bounds: Bounds
) -> CTE:
    """Return those of the next few rows by key that are matches.

    Words that many rows have fill a page from them, and the rest need not be found.
    """
    (part,) = parts
    few = _next(part.column.table.alias(), page, part)
    end = few.offset(bounds.most(times=_NEAR)).limit(literal_column("1"))
    down = part.descending is not _is_backward(page)
    last = end.scalar_subquery()
    within = part.column >= last if down else part.column <= last
    clauses = _ordered(page, parts)
    return bounds.cut(rows.where(within), clauses).cte("__near")


def _glance(
    layout: Layout, page: KeysetPage, parts: Sequence[Part], bounds: Bounds
) -> ColumnElement[bool]:
    """Say whether one of the very next rows holds the words, whatever else is asked."""
    (part,) = parts
    others = part.column.table.alias()
    key: Any = part.column.key
    searched: Any = [it.key for it in searched_columns(layout) if it.key != key]
    columns = (others.columns[name] for name in searched)
    few = _next(others, page, part).add_columns(*columns)
    few_rows = few.limit(bounds.most(times=_GLANCE)).subquery("__next")
    one: ColumnElement[int] = literal_column("1")
    found = select(one).select_from(few_rows).where(holds(layout, few_rows)).exists()
    # It is asked twice, and looked at once.
    return select(
        select(found.label("found")).cte("__glance").c.found
    ).scalar_subquery()


def _next(others: Alias, page: KeysetPage, part: Part) -> Select[Any]:
    """Select the keys of the next rows, in the page's order."""
    other = replace(part, column=others.columns[part.column.key])
    clause = other.clause(backward=_is_backward(page))
    return _behind(select(other.column), page, [other]).order_by(clause)


# How many times a page's rows are looked at, before all matches are found.
_GLANCE, _NEAR = 2, 50


def _outer(
    found: Select[Any],
    rows: Subquery,
    page: Page,
    parts: Sequence[Part],
    bounds: Bounds,
) -> Select[Any]:
    """Select a page of rows that have been selected with their order."""
    columns: Any = rows.c
    chosen = select(*(columns[str(c.key)] for c in found.selected_columns))
    return bounds.cut(chosen, _ordered(page, parts, rows))


def _behind(found: Select[Any], page: Page, parts: Sequence[Part]) -> Select[Any]:
    if isinstance(page, OffsetPage) or page.position is None:
        return found
    return found.where(behind(parts, page.position, backward=_is_backward(page)))


def _with_order(rows: Select[Any], parts: Sequence[Part]) -> Select[Any]:
    known = rows.selected_columns.keys()
    return rows.add_columns(*(c for c in with_order(parts) if c.key not in known))


def _ordered(
    page: Page, parts: Sequence[Part], rows: Subquery | None = None
) -> Iterator[ColumnElement[Any]]:
    """Yield the ORDER BY, of a table or of rows that have been selected with it."""
    for n, part in enumerate(parts):
        column: Any = part.column if rows is None else rows.c[order_name(n)]
        yield part.named(column, backward=_is_backward(page))


def _is_backward(page: Page) -> bool:
    return not isinstance(page, OffsetPage) and page.direction == "prev"
