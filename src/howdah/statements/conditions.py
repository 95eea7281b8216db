"""Filters and search into WHERE, and their values into parameters."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Double,
    FromClause,
    Text,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import aliased

from howdah.query import Filter, Query
from howdah.search import FullTextColumn
from howdah.statements.layout import Layout, Target, active
from howdah.statements.places import NAMED, Places, compared_as
from howdah.statements.scope import Within

__all__ = (
    "WORDS",
    "conditions",
    "filter_name",
    "filter_values",
    "holds",
    "rank",
    "searched_columns",
)

SEARCH, WORDS = "__search", "__words"


def conditions(
    layout: Layout, query: Query, places: Places = NAMED
) -> list[ColumnElement[bool]]:
    """Return what a row has to meet; its values are those of `filter_values`."""
    found = [*layout.within, *(active(layout) if query.active_only else ())]
    found += [
        _condition(layout, filter_, filter_name(number), places)
        for number, filter_ in enumerate(query.filters)
    ]
    if query.search is not None:
        found.append(holds(layout, layout.table, places))
    return found


def holds(
    layout: Layout, rows: FromClause, places: Places = NAMED
) -> ColumnElement[bool]:
    """Return whether rows of the table, or of a part of it, hold what is searched."""
    columns: Any = rows.c
    if layout.full_text is not None:
        words = _words(layout.full_text, places)
        column: ColumnElement[Any] = columns[layout.full_text.column.key]
        return column.bool_op("@@")(words)
    pattern = places.one(SEARCH, Text())
    return or_(*(columns[column.key].ilike(pattern) for column in layout.search))


def searched_columns(layout: Layout) -> Sequence[ColumnElement[Any]]:
    """Return the columns in which a search looks."""
    return layout.search if layout.full_text is None else (layout.full_text.column,)


def rank(full_text: FullTextColumn, places: Places = NAMED) -> ColumnElement[float]:
    """Return how well a row fits a search by words: the larger, the better."""
    # Double, so that the number in a cursor is the number that it was.
    ranked = func.ts_rank_cd(full_text.column, _words(full_text, places))
    return cast(ranked, Double)


def filter_values(query: Query) -> dict[str, Any]:
    """Return the parameters of a query's filters and search."""
    values: dict[str, Any] = {}
    for number, filter_ in enumerate(query.filters):
        values.update(_values(filter_, filter_name(number)))
    if query.search is not None:
        values[SEARCH] = _pattern("contains", query.search)
        values[WORDS] = query.search
    return values


def filter_name(number: int) -> str:
    """Return the name of the parameter of a query's filter, counted from 0."""
    return f"__filter_{number}"


def _words(full_text: FullTextColumn, places: Places) -> ColumnElement[Any]:
    """Return what people write into a search box as a search; any text is one."""
    # The name has been checked; as a part of the text it is known when it is planned.
    language: ColumnElement[Any] = literal_column(f"'{full_text.language}'::regconfig")
    words = places.one(WORDS, Text())
    return func.websearch_to_tsquery(language, words, type_=TSQUERY())


def _values(filter_: Filter, name: str) -> Mapping[str, Any]:
    value = filter_.value
    if filter_.operator == "isnull":
        return {}
    if filter_.operator == "between":
        return {f"{name}_low": value[0], f"{name}_high": value[1]}
    if filter_.operator in _LIKE:
        return {name: _pattern(filter_.operator, value)}
    return {name: value}


_PATTERNS = {"contains": "%{}%", "startswith": "{}%", "endswith": "%{}"}
_LIKE = {*_PATTERNS, *(f"i{name}" for name in _PATTERNS)}


def _pattern(name: str, text: str) -> str:
    r"""Return a LIKE pattern in which `%`, `_` and `\` of the text are plain."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return _PATTERNS[name.removeprefix("i")].format(text)


_Condition = Callable[[Column[Any], object, str, Places], Any]


def _condition(
    layout: Layout, filter_: Filter, name: str, places: Places
) -> ColumnElement[bool]:
    compare = _CONDITIONS[filter_.operator]
    relation, column = _reached(layout, layout.filters[filter_.field])
    compared: ColumnElement[bool] = compare(column, filter_.value, name, places)
    if relation is None:
        return compared
    reach: Callable[[Any], ColumnElement[bool]] = (
        relation.any if relation.property.uselist else relation.has
    )
    return reach(compared)


def _reached(layout: Layout, target: Target) -> tuple[Any, Any]:
    """Return the relation and the column that a filter goes through, and to."""
    relation: Any = target.via
    scope = None if relation is None else layout.related.get(relation.key)
    if scope is None:
        return relation, target.column
    # Rows that are not there for the caller meet no condition either.
    there = select(target.column.table).where(Within(scope.condition))
    rows = there.correlate(None).subquery("__reached")
    related = aliased(relation.property.mapper.class_, rows)
    return relation.of_type(related), rows.c[target.column.key]


def _compared(compare: Callable[[Any, Any], Any]) -> _Condition:
    def condition(
        column: Column[Any], _value: object, name: str, places: Places
    ) -> Any:
        return compare(column, places.one(name, compared_as(column.type)))

    return condition


def _like(column: Column[Any], _value: object, name: str, places: Places) -> Any:
    return column.like(places.one(name, Text()))


def _ilike(column: Column[Any], _value: object, name: str, places: Places) -> Any:
    return column.ilike(places.one(name, Text()))


def _is_null(column: Column[Any], value: object, _name: str, _places: Places) -> Any:
    return column.is_(None) if value else column.is_not(None)


def _in(column: Column[Any], _value: object, name: str, places: Places) -> Any:
    return places.among(column, name, compared_as(column.type))


def _not_in(column: Column[Any], _value: object, name: str, places: Places) -> Any:
    return places.outside(column, name, compared_as(column.type))


def _between(column: Column[Any], _value: object, name: str, places: Places) -> Any:
    low, high = (
        places.one(f"{name}_{end}", compared_as(column.type)) for end in ("low", "high")
    )
    return column.between(low, high)


_CONDITIONS: Mapping[str, _Condition] = {
    "eq": _compared(operator.eq),
    "ne": _compared(operator.ne),
    "lt": _compared(operator.lt),
    "lte": _compared(operator.le),
    "gt": _compared(operator.gt),
    "gte": _compared(operator.ge),
    "in": _in,
    "not_in": _not_in,
    "isnull": _is_null,
    "between": _between,
    **dict.fromkeys(_PATTERNS, _like),
    **{f"i{name}": _ilike for name in _PATTERNS},
}
