"""Conditions, filters, sort and pages of Python code into a SELECT of a model. Pure.

The operators are those of `query` and their SQL is that of `statements`; here values
are Python's own, and nothing has to be declared first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, select

from howdah.errors import Misconfigured
from howdah.models import mapped_columns, relationships
from howdah.paging import KeysetPage, OffsetPage, Page
from howdah.query import OPERATORS, Filter, Query, Sort, nearest
from howdah.search import FullText, full_text_column
from howdah.statements import Layout, Target, filter_values, position_name
from howdah.statements.conditions import conditions, holds
from howdah.statements.order import Part, behind, order
from howdah.statements.places import Filled

__all__ = (
    "Filters",
    "SortBy",
    "backward",
    "matching",
    "ordered",
    "paged",
    "position",
    "selected",
)

Filters = Mapping[str, Any]
"""As in a URL, but with Python's values: `{"price__gte": 5, "category__name": "Rock"}`.

`in`, `not_in` and `between` take a list or a tuple, `isnull` a bool.
"""
SortBy = str | Sequence[Sort]
"""`"-price,name"`, or the same as `Sort` objects."""


def selected(
    model: type[Any], where: Sequence[ColumnElement[bool]], filters: Filters
) -> Select[Any]:
    """Return the SELECT of the rows that meet all conditions and all filters."""
    targets: dict[str, Target] = {}
    read = tuple(_filter(model, targets, *pair) for pair in filters.items())
    query = Query(filters=read, active_only=False)
    found = conditions(_layout(model, targets), query, Filled(filter_values(query)))
    return select(model).where(*where, *found)


def matching(
    model: type[Any], search: tuple[str, ...] | FullText, text: str
) -> ColumnElement[bool]:
    """Return the condition of rows that a search for a text finds."""
    layout = _layout(model, {})
    if isinstance(search, FullText):
        layout = replace(layout, full_text=full_text_column(layout.table, search))
    else:
        layout = replace(layout, search=_searched(model, search))
    return holds(layout, layout.table, Filled(filter_values(Query(search=text))))


def paged(
    model: type[Any], statement: Select[Any], sort: SortBy, page: Page
) -> Select[Any]:
    """Return one page of a SELECT, in its order and then that of the keys.

    A page before a position comes the other way round.
    """
    against = backward(page)
    statement = ordered(model, statement, sort, backward=against).limit(page.limit)
    if isinstance(page, OffsetPage):
        return statement.offset(page.skip)
    if page.position is None:
        return statement
    parts = _order(model, sort)
    values = {position_name(n): value for n, value in enumerate(page.position)}
    places = Filled(values)
    return statement.where(
        behind(parts, page.position, backward=against, places=places)
    )


def ordered(
    model: type[Any], statement: Select[Any], sort: SortBy, *, backward: bool = False
) -> Select[Any]:
    """Return a SELECT in an order that the primary key makes total."""
    parts = _order(model, sort)
    return statement.order_by(*(part.clause(backward=backward) for part in parts))


def backward(page: Page) -> bool:
    """Say whether a page is read against its order."""
    return isinstance(page, KeysetPage) and page.direction == "prev"


def position(row: Any, sort: SortBy) -> tuple[Any, ...]:
    """Return where a row stands in an order: what a KeysetPage goes on from."""
    model = type(row)
    names = {column: name for name, column in mapped_columns(model).items()}
    return tuple(getattr(row, names[part.column]) for part in _order(model, sort))


def _layout(model: type[Any], targets: Mapping[str, Target]) -> Layout:
    fields = mapped_columns(model)
    return Layout(table=model.__table__, columns=fields, fields=fields, filters=targets)


def _searched(model: type[Any], names: tuple[str, ...]) -> tuple[Column[Any], ...]:
    fields = mapped_columns(model)
    if not names:
        raise Misconfigured(
            f"a repository of {model.__name__} has nothing to search; name its texts: "
            'search_in = ("name",)'
        )
    for name in names:
        if name not in fields:
            raise _unknown(model, "search_in", name, fields)
    return tuple(fields[name] for name in names)


def _order(model: type[Any], sort: SortBy) -> list[Part]:
    asked = _parts(sort)
    layout = _layout(model, {})
    for part in asked:
        if part.field not in layout.fields:
            raise _unknown(model, "sort", part.field, layout.fields)
    return order(layout, Query(sort=asked))


def _parts(sort: SortBy) -> tuple[Sort, ...]:
    if not isinstance(sort, str):
        return tuple(sort)
    return Sort.read(sort) if sort else ()


def _filter(
    model: type[Any], targets: dict[str, Target], name: str, value: Any
) -> Filter:
    """Return what `price__gte` asks, and note what it compares."""
    field, _, operator = name.rpartition("__")
    known = next((each for each in OPERATORS if each == operator), None)
    if known is None or not field:
        field, known = name, "eq"
    targets[field] = _target(model, field)
    many = known in {"in", "not_in", "between"}
    return Filter(field=field, operator=known, value=tuple(value) if many else value)


def _target(model: type[Any], name: str) -> Target:
    """Return a column of the model, or one behind a relation: `category__name`."""
    fields = mapped_columns(model)
    if name in fields:
        return Target(column=fields[name])
    relation, _, reached = name.partition("__")
    there = relationships(model).get(relation)
    if there is None or reached not in (columns := mapped_columns(there)):
        raise _unknown(model, "filters", name, [*fields, *relationships(model)])
    return Target(column=columns[reached], via=getattr(model, relation))


def _unknown(
    model: type[Any], where: str, name: str, known: Mapping[str, Any] | list[str]
) -> Misconfigured:
    hint = nearest(name, known)
    return Misconfigured(
        f"{where} names {name!r}, which {model.__name__} has not{hint}"
    )
