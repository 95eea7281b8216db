"""A column as PostgreSQL writes it into JSON, so that the text is what schemas say.

What JSON has no words for gets those that Pydantic has: the value of an enum, the
seconds of an interval, base64, null for a number that is none.
"""

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Date,
    DateTime,
    Enum,
    Float,
    Interval,
    LargeBinary,
    Numeric,
    Text,
    Time,
    case,
    cast,
    column,
    extract,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import INET, INTERVAL
from sqlalchemy.types import TypeEngine

from howdah.schemas import enum_values, plain_type

__all__ = ("in_json", "in_place", "loses", "quoted")

Form = Callable[[ColumnElement[Any], TypeEngine[Any]], ColumnElement[Any]]


def in_json(value: ColumnElement[Any], *, exact: bool = False) -> ColumnElement[Any]:
    """Return a value as schemas show it; with exact, numbers of digits are texts."""
    form = _form(value.type, exact=exact)
    return value if form is None else form(value, plain_type(value.type))


def in_place(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a value as a part of a page's position: nothing of it may be lost."""
    return value if loses(value.type) else in_json(value)


def loses(type_: TypeEngine[Any]) -> bool:
    """Say whether JSON leaves out some values of the type, where an order has them."""
    # Digits have a NaN as well, but nobody's order is worth a slower page for it.
    return isinstance(plain_type(type_), Float | Date | DateTime)


def quoted(value: str) -> ColumnElement[str]:
    """Return a text of our own as a part of the statement."""
    # Part of the text, so that a plan has no parameters but those of the request.
    return literal_column("'{}'".format(value.replace("'", "''")), Text)


def _form(type_: TypeEngine[Any], *, exact: bool) -> Form | None:
    plain = plain_type(type_)
    if isinstance(plain, ARRAY):
        each = _form(plain.item_type, exact=exact)
        return None if each is None else _array_of(each)
    if isinstance(plain, Numeric) and not isinstance(plain, Float):
        return _text if exact else _finite
    for types, form in _FORMS:
        if isinstance(plain, types):
            return form
    return None


def _array_of(form: Form) -> Form:
    def array(value: ColumnElement[Any], plain: Any) -> ColumnElement[Any]:
        item: TypeEngine[Any] = plain.item_type
        given = (
            func.unnest(value)
            .table_valued(column("one", item), with_ordinality="place", name="__each")
            .render_derived()
        )
        one = form(given.c.one, plain_type(item))
        rows = select(one).select_from(given).order_by(given.c.place)
        return case((value.is_not(None), func.array(rows.scalar_subquery())))

    return array


def _enum(value: ColumnElement[Any], plain: Any) -> ColumnElement[Any]:
    values = enum_values(plain)
    if values is None or all(label == each for label, each in values.items()):
        return value
    pairs = {quoted(label): _literal(each) for label, each in values.items()}
    return case(pairs, value=cast(value, Text))


def _literal(value: str | int) -> ColumnElement[Any]:
    return quoted(value) if isinstance(value, str) else literal_column(str(value))


def _duration(value: ColumnElement[Any], _plain: object) -> ColumnElement[Any]:
    """Return a duration of ISO 8601: a year is 365 days here, as it is to asyncpg."""
    parts = (extract(p, value) * literal_column(str(size)) for p, size in _PARTS)
    seconds: Any = reduce(operator.add, parts)
    days = func.div(func.abs(seconds), _DAY)
    rest = func.trim_scale(func.mod(func.abs(seconds), _DAY))
    sign = case((seconds < literal_column("0"), quoted("-")), else_=quoted(""))
    text = sign.concat(quoted("P")).concat(days).concat(quoted("DT"))
    return case((value.is_not(None), text.concat(rest).concat(quoted("S"))))


_DAY: ColumnElement[Any] = literal_column("86400")
_PARTS = (
    ("year", 365 * 86400),
    ("month", 30 * 86400),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)


def _base64(value: ColumnElement[Any], _plain: object) -> ColumnElement[Any]:
    lines = func.encode(value, quoted("base64"))
    return func.replace(lines, literal_column("E'\\n'"), quoted(""))


def _finite(value: ColumnElement[Any], plain: Any) -> ColumnElement[Any]:
    """Return a number, or NULL where it is none: JSON has no word for it."""
    found: ColumnElement[Any] = value
    # Digits that are counted have no infinity, says PostgreSQL's page on numbers.
    counted = not isinstance(plain, Float) and plain.precision is not None
    for none in ("NaN",) if counted else ("NaN", "Infinity", "-Infinity"):
        found = func.nullif(found, literal_column(f"'{none}'"))
    return found


def _zoned(value: ColumnElement[Any], plain: Any) -> ColumnElement[Any]:
    """Return a time with its zone as RFC 3339 has it: PostgreSQL writes `+02` alone."""
    if not plain.timezone:
        return value
    end, whole = quoted("([+-][0-9]{2})$"), quoted(r"\1:00")
    return func.regexp_replace(cast(value, Text), end, whole)


def _text(value: ColumnElement[Any], _plain: object) -> ColumnElement[Any]:
    return cast(value, Text)


def _bounded(value: ColumnElement[Any], plain: TypeEngine[Any]) -> ColumnElement[Any]:
    """Return a moment, and for the infinite ones the ends of time that Python has."""
    first, last = _ENDS[isinstance(plain, DateTime)]
    end = case((value > quoted(last), quoted(last)), else_=quoted(first))
    return case(
        (or_(func.isfinite(value), value.is_(None)), value),
        else_=cast(end, plain),
    )


_ENDS = {
    True: ("0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"),
    False: ("0001-01-01", "9999-12-31"),
}
_FORMS: tuple[tuple[Any, Form], ...] = (
    (Enum, _enum),
    ((Interval, INTERVAL), _duration),
    (LargeBinary, _base64),
    (Float, _finite),
    ((Date, DateTime), _bounded),
    (Time, _zoned),
    (INET, _text),
)
