"""Simple conditions of SQLAlchemy, evaluated on one row.

Comparisons, `in_`, `is_`, `between`, LIKE and its kin, and what `and_`, `or_` and
`not_` make of them, over columns of one table. What only a database can answer, a
subquery above all, is refused in plain words.
"""

import datetime as dt
import operator
import re
from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any
from uuid import uuid4

from sqlalchemy import BindParameter, Column
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    AsBoolean,
    BinaryExpression,
    ClauseList,
    ExpressionClauseList,
    False_,
    Grouping,
    Null,
    True_,
    UnaryExpression,
)
from sqlalchemy.sql.functions import FunctionElement

from howdah.errors import Misconfigured
from howdah.meaning.columns import asked, comparable
from howdah.meaning.operators import (
    MEANINGS,
    Truth,
    all_of,
    any_of,
    lowered,
    none_of,
)

__all__ = ("Moment", "Reader", "Values", "like_pattern", "reader")

Values = Mapping[Column[Any], Any]
Moment = dt.datetime
Reader = Callable[[Values, Moment], Any]
"""Gives what an expression is for a row, at a moment that `now()` stands for."""


@singledispatch
def reader(element: Any) -> Reader:
    """Return what reads the expression's value, or raise Misconfigured."""
    raise Misconfigured(
        f"nobody can evaluate {type(element).__name__} ({element}) outside of a "
        "database; known are comparisons of a row's own columns, and, or and not"
    )


@reader.register
def _(element: Column) -> Reader:  # type: ignore[type-arg] # singledispatch reads it
    # The ORM's annotated copy of a column is none of the row's; the original is.
    column = element.table.columns[element.key]
    return lambda values, _now: values[column]


@reader.register
def _(element: BindParameter) -> Reader:  # type: ignore[type-arg] # likewise
    value = element.effective_value
    type_ = element.type
    if element.expanding:
        several = [asked(type_, each) for each in value or ()]
        return lambda _values, _now: several
    single = asked(type_, value)
    return lambda _values, _now: single


@reader.register
def _(_element: True_) -> Reader:
    return lambda _values, _now: True


@reader.register
def _(_element: False_) -> Reader:
    return lambda _values, _now: False


@reader.register
def _(_element: Null) -> Reader:
    return lambda _values, _now: None


@reader.register
def _(element: Grouping) -> Reader:  # type: ignore[type-arg] # likewise
    return reader(element.element)


@reader.register(ClauseList)
@reader.register(ExpressionClauseList)
def _(element: Any) -> Reader:
    parts = [reader(part) for part in element.clauses]
    joined = _JOINED.get(element.operator)
    if joined is None:
        return lambda values, now: [part(values, now) for part in parts]
    return lambda values, now: joined([part(values, now) for part in parts])


@reader.register
def _(element: AsBoolean) -> Reader:
    inner = reader(element.element)
    if element.operator is operators.is_true:
        return inner
    return lambda values, now: none_of(inner(values, now))


@reader.register
def _(element: UnaryExpression) -> Reader:  # type: ignore[type-arg] # likewise
    inner = reader(element.element)
    if element.operator is operators.inv:
        return lambda values, now: none_of(inner(values, now))
    if element.operator is operators.neg:
        return lambda values, now: _calculated(operator.neg, inner(values, now))
    return reader.dispatch(object)(element)


@reader.register
def _(element: FunctionElement) -> Reader:  # type: ignore[type-arg] # likewise
    call = _FUNCTIONS.get(getattr(element, "name", "").lower())
    if call is None:
        return reader.dispatch(object)(element)
    parts = [reader(part) for part in element.clauses]
    return lambda values, now: call(now, *(part(values, now) for part in parts))


@reader.register
def _(element: BinaryExpression) -> Reader:  # type: ignore[type-arg] # likewise
    left, right = reader(element.left), _right(element)
    compare = _comparison(element)
    return lambda values, now: compare(left(values, now), right(values, now))


def _right(element: Any) -> Reader:
    if element.operator not in {operators.between_op, operators.not_between_op}:
        return reader(element.right)
    low, high = (reader(part) for part in element.right.clauses)
    return lambda values, now: [low(values, now), high(values, now)]


def _comparison(element: Any) -> Callable[[Any, Any], Any]:
    like = _LIKE.get(element.operator)
    if like is not None:
        escape = element.modifiers.get("escape") or "\\"
        return lambda text, pattern: like(text, pattern, escape)
    calculate = _CALCULATED.get(element.operator)
    if calculate is not None:
        return lambda *given: _calculated(calculate, *given)
    meaning = _COMPARED.get(element.operator)
    if meaning is None:
        reader.dispatch(object)(element)
        raise AssertionError
    rank = comparable(element.left.type)
    return lambda value, given: meaning(_ranked(rank, value), _ranked(rank, given))


def _ranked(rank: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, list):
        return [_ranked(rank, each) for each in value]
    return None if value is None else rank(value)


def _calculated(calculate: Callable[..., Any], *given: Any) -> Any:
    return None if None in given else calculate(*given)


def _is(value: Any, given: Any) -> Truth:
    return value is None if given is None else value == given


_JOINED: Mapping[Any, Callable[[Any], Truth]] = {
    operators.and_: all_of,
    operators.or_: any_of,
}
_COMPARED: Mapping[Any, Callable[[Any, Any], Truth]] = {
    operators.eq: MEANINGS["eq"],
    operators.ne: MEANINGS["ne"],
    operators.lt: MEANINGS["lt"],
    operators.le: MEANINGS["lte"],
    operators.gt: MEANINGS["gt"],
    operators.ge: MEANINGS["gte"],
    operators.in_op: MEANINGS["in"],
    operators.not_in_op: MEANINGS["not_in"],
    operators.between_op: MEANINGS["between"],
    operators.not_between_op: lambda v, g: none_of(MEANINGS["between"](v, g)),
    operators.is_: _is,
    operators.is_not: lambda v, g: not _is(v, g),
    operators.is_distinct_from: lambda v, g: v != g,
    operators.is_not_distinct_from: lambda v, g: v == g,
}
_CALCULATED: Mapping[Any, Callable[..., Any]] = {
    operators.add: operator.add,
    operators.sub: operator.sub,
    operators.mul: operator.mul,
    operators.concat_op: operator.add,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **dict.fromkeys(("now", "current_timestamp"), lambda now: now),
    "current_date": lambda now: now.date(),
    "gen_random_uuid": lambda _now: uuid4(),
    "lower": lambda _now, text: _calculated(lowered, text),
    "upper": lambda _now, text: _calculated(str.upper, text),
    "length": lambda _now, text: _calculated(len, text),
    "char_length": lambda _now, text: _calculated(len, text),
    "coalesce": lambda _now, *given: next((v for v in given if v is not None), None),
}


def like_pattern(like: str, escape: str) -> str:
    """Return the regular expression of a LIKE; its dot means line breaks as well."""
    parts, position = [], 0
    while position < len(like):
        char = like[position]
        if char == escape and position + 1 < len(like):
            position += 1
            parts.append(re.escape(like[position]))
        else:
            parts.append({"%": ".*", "_": "."}.get(char) or re.escape(char))
        position += 1
    return "".join(parts)


def _like(text: str, pattern: str, escape: str) -> bool:
    return re.fullmatch(like_pattern(pattern, escape), text, re.DOTALL) is not None


def _liking(
    form: str, *, negated: bool = False, lower: bool = False
) -> Callable[[Any, Any, str], Truth]:
    def liking(text: Any, pattern: Any, escape: str) -> Truth:
        if text is None or pattern is None:
            return None
        if lower:
            text, pattern = lowered(text), lowered(pattern)
        return _like(text, form.format(pattern), escape) is not negated

    return liking


_LIKE: Mapping[Any, Callable[[Any, Any, str], Truth]] = {
    getattr(operators, f"{no}{i}{name}_op"): _liking(
        form, negated=bool(no), lower=bool(i)
    )
    for name, form in {
        "like": "{}",
        "contains": "%{}%",
        "startswith": "{}%",
        "endswith": "%{}",
    }.items()
    for no in ("", "not_")
    for i in ("", "i")
}
