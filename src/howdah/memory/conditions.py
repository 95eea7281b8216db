"""Which rows a query finds: its filters and search, and what hides deleted rows."""

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Boolean, Column

from howdah.errors import Misconfigured
from howdah.meaning import MEANINGS, Values, any_of, asked, comparable, reader
from howdah.memory.relations import leads_to
from howdah.memory.tables import Tables
from howdah.query import Filter, Query
from howdah.statements import Layout, Scope, Target

__all__ = ("active", "is_readable", "is_within", "met")

Test = Callable[[Values], Any]


def met(layout: Layout, tables: Tables, query: Query) -> list[Values]:
    """Return the rows that meet all conditions of a query, in no order."""
    tests = [_filtered(layout, tables, filter_) for filter_ in query.filters]
    tests.append(partial(is_within, layout.scope))
    if query.active_only:
        tests.append(active(layout.soft_delete))
    if query.search is not None:
        tests.append(_searched(layout, query.search))
    rows = tables.rows(layout.table)
    return [row for row in rows if all(test(row) is True for test in tests)]


def is_readable(layout: Layout, values: Values) -> bool:
    """Say whether a row is found by its key: one with a moment of deletion is not."""
    mark = layout.soft_delete
    return mark is None or isinstance(mark.type, Boolean) or values[mark] is None


def is_within(scope: Scope | None, values: Values) -> bool:
    """Say whether a row is one of those that there are for the caller."""
    if scope is None:
        return True
    return reader(scope.condition)(values, dt.datetime.now(dt.UTC)) is True


def active(mark: Column[Any] | None) -> Test:
    """Return what says whether a row is not marked as deleted by this column."""
    if mark is None:
        return lambda _row: True
    if isinstance(mark.type, Boolean):
        return lambda row: row[mark]
    return lambda row: row[mark] is None


def _searched(layout: Layout, words: str) -> Test:
    if layout.full_text is not None:
        raise Misconfigured(
            f"{layout.table.name!r} is searched by words, which PostgreSQL alone does; "
            "test such a search with the pytest plugin's database"
        )
    holds = MEANINGS["icontains"]
    return lambda row: any_of([holds(row[column], words) for column in layout.search])


def _filtered(layout: Layout, tables: Tables, filter_: Filter) -> Test:
    target = layout.filters.get(filter_.field)
    if target is None:
        target = Target(column=layout.fields[filter_.field])
    test = _compared(target.column, filter_)
    if target.via is None:
        return test
    scope = layout.related.get(target.via.key)
    return leads_to(target.via, tables, lambda row: is_within(scope, row) and test(row))


def _compared(column: Column[Any], filter_: Filter) -> Test:
    meaning, given = MEANINGS[filter_.operator], filter_.value
    if filter_.operator == "isnull":
        return lambda row: meaning(row[column], given)
    rank = comparable(column.type)
    if isinstance(given, tuple):
        known: Any = [_ranked(rank, asked(column.type, one)) for one in given]
    else:
        known = _ranked(rank, asked(column.type, given))
    return lambda row: meaning(_ranked(rank, row[column]), known)


def _ranked(rank: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else rank(value)
