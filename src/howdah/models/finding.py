"""A MongoDB query as a condition of columns: `{"price": {"$gt": 5}}` as `price > 5`.

As far as it says what a condition of SQL can say as well; the rest is refused.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Column, ColumnElement, and_, false, not_, or_, true

from howdah.errors import Misconfigured

__all__ = ("condition_of",)

Columns = Mapping[str, Column[Any]]


def condition_of(found: Mapping[str, Any], columns: Columns) -> ColumnElement[bool]:
    """Return what a query demands, or raise Misconfigured; columns are by their paths.

    What Beanie makes of `Item.price > 5` is such a query.
    """
    # Beanie's own texts compare as queries, so plain ones are made of them.
    parts = [_part(str(path), given, columns) for path, given in found.items()]
    return and_(true(), *parts)


def _part(path: str, given: Any, columns: Columns) -> ColumnElement[bool]:
    if path in _JOINED:
        return _JOINED[path]([condition_of(each, columns) for each in given])
    if path not in columns:
        raise Misconfigured(
            f"a condition names {path!r}, which is no field; there are "
            f"{', '.join(columns)}"
        )
    column = columns[path]
    if not isinstance(given, Mapping):
        return _equal(column, given)
    return and_(true(), *(_compared(column, str(n), v) for n, v in given.items()))


def _compared(column: Column[Any], operator: str, value: Any) -> ColumnElement[bool]:
    compare = _COMPARED.get(operator)
    if compare is None:
        raise Misconfigured(
            f"a condition of {column.name!r} has {operator!r}, which no row that "
            f"is being written can be asked; there are {', '.join(_COMPARED)}"
        )
    return compare(column, value)


def _equal(column: Column[Any], value: Any) -> ColumnElement[bool]:
    return column.is_(None) if value is None else column == value


def _exists(column: Column[Any], value: Any) -> ColumnElement[bool]:
    return column.is_not(None) if value else column.is_(None)


def _typed(column: Column[Any], value: Any) -> ColumnElement[bool]:
    return column.is_(None) if value in {"null", 10} else column.is_not(None)


_JOINED: Mapping[str, Callable[[list[ColumnElement[bool]]], ColumnElement[bool]]] = {
    "$and": lambda parts: and_(*parts),
    "$or": lambda parts: or_(*parts),
    "$nor": lambda parts: not_(or_(*parts)),
}
_COMPARED: Mapping[str, Callable[[Column[Any], Any], ColumnElement[bool]]] = {
    "$eq": _equal,
    "$ne": lambda c, v: c.is_not(None) if v is None else or_(c != v, c.is_(None)),
    "$gt": lambda c, v: c > v,
    "$gte": lambda c, v: c >= v,
    "$lt": lambda c, v: c < v,
    "$lte": lambda c, v: c <= v,
    "$in": lambda c, v: or_(false(), *(_equal(c, each) for each in v)),
    "$nin": lambda c, v: and_(true(), *(_COMPARED["$ne"](c, each) for each in v)),
    "$exists": _exists,
    "$type": _typed,
}
