"""Conditions as MongoDB asks them: those of SQLAlchemy, filters, and searches.

NULL means here what it means in SQL: a field that is null or missing meets no condition
but that it is. So `price != 5` leaves out what has no price, which MongoDB would not.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import BinaryExpression, Boolean, Column
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    AsBoolean,
    ClauseList,
    ExpressionClauseList,
    False_,
    Grouping,
    True_,
    UnaryExpression,
)

from howdah.documents.codec import encoded
from howdah.errors import Misconfigured
from howdah.meaning import asked, like_pattern, reader
from howdah.query import Filter, Operator

__all__ = ("Match", "active", "filtered", "joined", "matching", "readable", "searched")

Match = dict[str, Any]
NOTHING: Match = {"_id": {"$in": []}}


def joined(parts: Sequence[Match]) -> Match:
    """Return what meets all of these."""
    some = [part for part in parts if part]
    return {"$and": some} if len(some) > 1 else (some[0] if some else {})


def active(mark: Column[Any] | None) -> Match:
    """Return what leaves deleted documents out."""
    if mark is None:
        return {}
    return {_path(mark): True if isinstance(mark.type, Boolean) else None}


def readable(mark: Column[Any] | None) -> Match:
    """Return what keeps a deleted document from being found by its key.

    One that is marked by a boolean stays readable; one with a moment is gone.
    """
    is_moment = mark is not None and not isinstance(mark.type, Boolean)
    return active(mark) if is_moment else {}


def searched(columns: Sequence[Column[Any]], words: str) -> Match:
    """Return what holds a text somewhere in one of these columns."""
    return {"$or": [_texts("icontains", _path(column), words) for column in columns]}


def filtered(column: Column[Any], filter_: Filter) -> Match:
    """Return what meets a filter."""
    path, operator, given = _path(column), filter_.operator, filter_.value
    if operator == "isnull":
        return {path: None} if given else {path: {"$ne": None}}
    if operator in _PATTERNS:
        return _texts(operator, path, given)
    if isinstance(given, tuple):
        several = [encoded(column, asked(column.type, each)) for each in given]
        return _COMPARED[operator](path, several)
    return _COMPARED[operator](path, encoded(column, asked(column.type, given)))


def _path(column: Column[Any]) -> str:
    path: str = column.info["path"]
    return path


def _texts(operator: Operator, path: str, given: str) -> Match:
    pattern = _PATTERNS[operator].format(re.escape(given))
    options = "i" if operator in _ANY_CASE else ""
    return {path: {"$regex": pattern, "$options": options}}


# `$` would match before the line break that ends a text as well.
_END = r"(?![\s\S])"
_PATTERNS: Mapping[Operator, str] = {
    "contains": "{}",
    "icontains": "{}",
    "startswith": "^{}",
    "istartswith": "^{}",
    "endswith": "{}" + _END,
    "iendswith": "{}" + _END,
}
_ANY_CASE = ("icontains", "istartswith", "iendswith")


def _is_not(path: str, value: Any) -> Match:
    return {path: {"$nin": [value, None]}}


def _not_among(path: str, values: Sequence[Any]) -> Match:
    return NOTHING if None in values else {path: {"$nin": [*values, None]}}


def _among(path: str, values: Sequence[Any]) -> Match:
    return {path: {"$in": [each for each in values if each is not None]}}


def _between(path: str, values: Sequence[Any]) -> Match:
    low, high = values
    return {path: {"$gte": low, "$lte": high}}


def _beyond(path: str, values: Sequence[Any]) -> Match:
    low, high = values
    return {"$or": [{path: {"$lt": low}}, {path: {"$gt": high}}]}


def _by(operator: str) -> Callable[[str, Any], Match]:
    return lambda path, value: {path: {operator: value}}


_COMPARED: Mapping[str, Callable[[str, Any], Match]] = {
    "eq": _by("$eq"),
    "ne": _is_not,
    "lt": _by("$lt"),
    "lte": _by("$lte"),
    "gt": _by("$gt"),
    "gte": _by("$gte"),
    "in": _among,
    "not_in": _not_among,
    "between": _between,
    "not_between": _beyond,
}


def matching(condition: Any, *, negated: bool = False) -> Match:
    """Return what meets a condition of a document's columns, or raise Misconfigured.

    With `negated` it is what does not; what is unknown meets neither.
    """
    for kind, match in _MATCHED.items():
        if isinstance(condition, kind):
            return match(condition, negated)
    raise _unknown(condition)


def _said(condition: Any, negated: bool) -> Match:  # noqa: FBT001 - one of a table
    return {} if isinstance(condition, True_) is not negated else NOTHING


def _inside(condition: Any, negated: bool) -> Match:  # noqa: FBT001 - likewise
    return matching(condition.element, negated=negated)


def _as_boolean(condition: Any, negated: bool) -> Match:  # noqa: FBT001 - likewise
    is_true = condition.operator is operators.is_true
    return matching(condition.element, negated=negated is is_true)


def _turned(condition: Any, negated: bool) -> Match:  # noqa: FBT001 - likewise
    if condition.operator is not operators.inv:
        raise _unknown(condition)
    return matching(condition.element, negated=not negated)


def _itself(condition: Any, negated: bool) -> Match:  # noqa: FBT001 - likewise
    return {_path(condition): not negated}


def _together(condition: Any, negated: bool) -> Match:  # noqa: FBT001 - likewise
    parts = [matching(part, negated=negated) for part in condition.clauses]
    if condition.operator not in {operators.and_, operators.or_}:
        raise _unknown(condition)
    if (condition.operator is operators.and_) is not negated:
        return joined(parts)
    # What is met by everything is met by everything, whatever stands beside it.
    return {} if {} in parts else {"$or": parts}


def _comparison(condition: Any, negated: bool) -> Match:  # noqa: FBT001 - likewise
    left, right, operator = condition.left, condition.right, condition.operator
    if not isinstance(left, Column) and isinstance(right, Column):
        left, right, operator = right, left, _TURNED.get(operator, operator)
    if not isinstance(left, Column):
        raise _unknown(condition)
    if negated:
        operator = _NEGATED.get(operator)
    if operator in _LIKE:
        return _like(left, right, condition.modifiers.get("escape"), operator)
    name = _NAMES.get(operator)
    if name is None:
        raise _unknown(condition)
    return _named(name, left, _value(right))


def _named(name: str, column: Column[Any], value: Any) -> Match:
    path = _path(column)
    if value is None:
        told: Mapping[str, Match] = {
            "is": {path: None},
            "is_not": {path: {"$ne": None}},
        }
        return told.get(name, NOTHING)
    several = isinstance(value, list)
    given = [encoded(column, v) for v in value] if several else encoded(column, value)
    if name == "is_not":
        return {path: {"$ne": given}}
    return _COMPARED["eq" if name == "is" else name](path, given)


def _value(element: Any) -> Any:
    """Return what a condition compares with: a value, or what a function gives."""
    if isinstance(element, ClauseList | ExpressionClauseList):
        return [_value(each) for each in element.clauses]
    return reader(element)({}, dt.datetime.now(dt.UTC))


def _like(column: Column[Any], given: Any, escape: str | None, operator: Any) -> Match:
    form, options = _LIKE[operator]
    pattern = "^" + like_pattern(form.format(_value(given)), escape or "\\") + _END
    return {_path(column): {"$regex": pattern, "$options": options + "s"}}


def _unknown(condition: object) -> Misconfigured:
    return Misconfigured(
        f"MongoDB cannot be asked {condition}; a condition compares a document's own "
        "fields with values, and joins such comparisons by and, or, not"
    )


# The first that fits: what is turned into a boolean is of the kind behind it as well.
_MATCHED: Mapping[type[Any], Callable[[Any, bool], Match]] = {
    True_: _said,
    False_: _said,
    Grouping: _inside,
    ClauseList: _together,
    ExpressionClauseList: _together,
    AsBoolean: _as_boolean,
    UnaryExpression: _turned,
    BinaryExpression: _comparison,
    Column: _itself,
}
_LIKE: Mapping[Any, tuple[str, str]] = {
    getattr(operators, f"{i}{name}_op"): (form, i)
    for name, form in {
        "like": "{}",
        "contains": "%{}%",
        "startswith": "{}%",
        "endswith": "%{}",
    }.items()
    for i in ("", "i")
}
_NAMES: Mapping[Any, str] = {
    operators.eq: "eq",
    operators.ne: "ne",
    operators.lt: "lt",
    operators.le: "lte",
    operators.gt: "gt",
    operators.ge: "gte",
    operators.in_op: "in",
    operators.not_in_op: "not_in",
    operators.between_op: "between",
    operators.not_between_op: "not_between",
    operators.is_: "is",
    operators.is_not: "is_not",
    operators.is_not_distinct_from: "is",
    operators.is_distinct_from: "is_not",
}
_NEGATED: Mapping[Any, Any] = {
    one: other
    for left, right in (
        (operators.eq, operators.ne),
        (operators.lt, operators.ge),
        (operators.le, operators.gt),
        (operators.in_op, operators.not_in_op),
        (operators.between_op, operators.not_between_op),
        (operators.is_, operators.is_not),
        (operators.is_distinct_from, operators.is_not_distinct_from),
    )
    for one, other in ((left, right), (right, left))
}
_TURNED: Mapping[Any, Any] = {
    operators.lt: operators.gt,
    operators.gt: operators.lt,
    operators.le: operators.ge,
    operators.ge: operators.le,
}
