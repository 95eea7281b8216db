"""The statements that read: one row, a page of rows, how many."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    ClauseElement,
    ColumnElement,
    Integer,
    Select,
    Subquery,
    Text,
    case,
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
from howdah.statements.layout import Layout, array_type, is_key, is_readable, tag
from howdah.statements.order import Part, is_ranked, order
from howdah.statements.shown import (
    ROW,
    exact_names,
    json_of,
    list_of,
    object_of,
    shown,
)
from howdah.statements.slices import number, order_name, sliced, with_order

__all__ = ("count", "found", "get", "list_rows")


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
    plain = _is_plain(layout, query)
    columns = _columns(layout, query, parts)
    rows = sliced(layout, query, page, columns, parts).subquery(
        ROW if plain else _FOUND
    )
    backward = isinstance(page, KeysetPage) and page.direction == "prev"
    if backward or any(array_type(part.column.type) is not None for part in parts):
        numbered = _numbered(layout, rows, query, parts)
        total = _total(layout, query, page, func.max(numbered.c.found))
        return _page(numbered, total, backward=backward)
    row, place = _row(layout, rows, query, parts)
    gathered = _gathered(row, place)
    found = func.cardinality(gathered.c.rows, type_=Integer)
    return _forward(gathered, len(place), _total(layout, query, page, found))


def count(layout: Layout, query: Query) -> Select[int]:
    """Count the rows that a query finds."""
    counted = select(func.count()).select_from(layout.table)
    return counted.where(*conditions(layout, query))


def found(layout: Layout, query: Query) -> Select[int]:
    """Find the rows of a query and show nothing of them; for EXPLAIN to think of."""
    one: ColumnElement[int] = literal_column("1")
    return select(one).select_from(layout.table).where(*conditions(layout, query))


_FOUND = "__found"


def _is_plain(layout: Layout, query: Query) -> bool:
    """Say whether rows are shown as they are, whole and alone: then they are JSON.

    And their place is in them: JSON has no NaN, which has one in an order.
    """
    lost = any(loses(part.column.type) for part in order(layout, query))
    return query.show == SHOW_ALL and not is_ranked(layout, query) and not lost


def _columns(
    layout: Layout, query: Query, parts: Sequence[Part]
) -> Iterable[ColumnElement[Any]]:
    """Return what is read of each row of a page, shown or not."""
    if _is_plain(layout, query):
        return shown(layout)
    show = query.show
    fields = layout.columns if show.fields is None else show.fields
    needed = {layout.columns[name] for name in fields}
    needed |= joining(layout.table, (layout.embeds[name] for name in show.include))
    return (
        *(column for column in layout.table.columns if column in needed),
        *with_order(parts),
    )


def _row(
    layout: Layout, rows: Subquery, query: Query, parts: Sequence[Part]
) -> tuple[ColumnElement[Any], Sequence[ColumnElement[Any]]]:
    """Return what is JSON of each row, and the values of its position."""
    columns: Any = rows.c
    if _is_plain(layout, query):
        names = {column: name for name, column in layout.columns.items()}
        return rows.table_valued(), [columns[names[part.column]] for part in parts]
    place = [in_place(columns[order_name(n)]) for n, _ in enumerate(parts)]
    return _chosen(layout, rows, query.show), place


def _gathered(row: ColumnElement[Any], place: Sequence[ColumnElement[Any]]) -> Subquery:
    """Return the rows of a page as one array, and each part of their positions.

    Arrays hold them as they come. To number rows, and to put them together by their
    numbers, costs as much again as all the rest of a page.
    """
    parts = (
        func.array_agg(value, type_=ARRAY(value.type)).label(order_name(n))
        for n, value in enumerate(place)
    )
    rows = func.array_agg(row, type_=ARRAY(JSON)).label("rows")
    return select(rows, *parts).subquery("gathered")


def _forward(
    gathered: Subquery, parts: int, total: ColumnElement[Any]
) -> ClauseElement:
    columns: Any = gathered.c
    found, limit = func.cardinality(columns.rows, type_=Integer), number("limit")
    one: ColumnElement[int] = literal_column("1", Integer)
    arrays = [columns[order_name(n)] for n in range(parts)]

    def position(place: ColumnElement[int]) -> ColumnElement[str]:
        values = (array[place] for array in arrays)
        return case((found.is_not(None), cast(func.json_build_array(*values), Text)))

    return select(
        list_of(columns.rows[slice(one, limit)]),
        position(one),
        position(func.least(found, limit, type_=Integer)),
        func.coalesce(found > limit, false()),
        total,
    )


def _numbered(
    layout: Layout, rows: Subquery, query: Query, parts: Sequence[Part]
) -> Subquery:
    """Return each row's JSON, its position, its number, and how many rows there are."""
    row, place = _row(layout, rows, query, parts)
    return select(
        cast(func.to_json(row), Text).label("row"),
        cast(func.json_build_array(*place), Text).label("position"),
        func.row_number().over().label("number"),
        func.count().over().label("found"),
    ).subquery("numbered")


def _chosen(layout: Layout, rows: Subquery, show: Show) -> ColumnElement[Any]:
    """Return the JSON of what is chosen of these rows, and what is embedded in them."""
    columns: Any = rows.c
    exact = exact_names(layout)
    chosen = (
        in_json(columns[column.key], exact=name in exact).label(name)
        for name, column in layout.columns.items()
        if show.fields is None or name in show.fields
    )
    return object_of((*chosen, *embedded(layout.embeds, show.include, rows)), rows)


def _page(
    numbered: Subquery, total: ColumnElement[Any], *, backward: bool
) -> ClauseElement:
    page, limit = numbered.c, number("limit")
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


def _total(
    layout: Layout, query: Query, page: Page, found: ColumnElement[int]
) -> ColumnElement[Any]:
    if query.count == "exact":
        return count(layout, query).scalar_subquery()
    return null() if query.count is None else _end(page, found)


def _end(page: Page, found: ColumnElement[int]) -> ColumnElement[Any]:
    """Return the total where a page shows the end of it: what nobody has to estimate.

    NULL where more rows follow, or where it is not known how many stand before.
    """
    if isinstance(page, OffsetPage):
        return case((found <= number("limit"), found + number("skip")))
    if page.position is not None:
        return null()
    some = func.coalesce(found, literal_column("0"))
    return case((some <= number("limit"), some))
