"""Values between the file, the schema and PostgreSQL's binary form.

asyncpg takes the very Python type of each column and no other: Decimal for numeric,
aware datetimes for timestamptz, text for JSON. Whole columns are converted at once, and
those whose type needs nothing are passed on as they are.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from math import isfinite
from types import NoneType
from typing import Any

from pydantic import SecretStr
from pydantic_core import to_jsonable_python
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Column,
    DateTime,
    Float,
    Integer,
    Numeric,
    SmallInteger,
    String,
)
from sqlalchemy import Enum as Enumerated
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.types import TypeDecorator, TypeEngine

__all__ = (
    "Check",
    "Convert",
    "Parse",
    "check_of",
    "convert_of",
    "kind_of",
    "parser_of",
)

Parse = Callable[[Any], Any]
Step = Callable[[Any], Any]
Convert = Callable[[Sequence[Any]], Sequence[Any]]
Check = Callable[[Sequence[Any]], Iterator[tuple[int, str]]]

_DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call]


def parser_of(column: Column[Any], *, text: bool) -> Parse | None:
    """Return what reads a JSON or array value before the schema sees it, if needed."""
    kind = kind_of(column)
    if not isinstance(kind, (JSON, ARRAY)):
        return None
    return _parsed if text else _plain


def convert_of(column: Column[Any], *, spelled: bool = False) -> Convert | None:
    """Return what makes asyncpg's values of the schema's, if any need it.

    Where they are `spelled`, a float may stay what it is: its text says its Decimal.
    """
    native, ready = _native(kind_of(column))
    if spelled and Decimal in ready:
        ready = (*ready, float)
    bind = column.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
    steps = [step for step in (native, bind) if step is not None]
    if not steps:
        return None
    passing = {NoneType} if bind else {NoneType, *ready}

    def convert(values: Sequence[Any]) -> Sequence[Any]:
        if passing.issuperset(map(type, values)):
            return values
        for step in steps:
            values = [value if value is None else step(value) for value in values]
        return values

    return convert


def check_of(column: Column[Any]) -> Check | None:
    """Return what finds the values that the column's type cannot hold, if any."""
    kind = kind_of(column)
    if isinstance(kind, Integer):
        return _outside(_bits(kind))
    return _infinite if isinstance(kind, Float) else None


def kind_of(column: Column[Any]) -> TypeEngine[Any]:
    """Return the type below all decoration."""
    kind: TypeEngine[Any] = column.type
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return kind


def _native(kind: TypeEngine[Any]) -> tuple[Step | None, tuple[type, ...]]:
    """Return what a value of the type has to go through, and who may pass by."""
    if isinstance(kind, JSON):
        return to_jsonable_python, ()
    if isinstance(kind, Numeric) and not isinstance(kind, Float):
        return _decimal, (Decimal, int)
    if isinstance(kind, DateTime):
        return (_aware if kind.timezone else _naive), ()
    if isinstance(kind, String) and not isinstance(kind, Enumerated):
        return _text, (str,)
    return None, ()


def _decimal(value: Any) -> Any:
    return Decimal(str(value)) if isinstance(value, float) else value


def _aware(value: Any) -> Any:
    # asyncpg would take a naive time for one of this machine's zone.
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _naive(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return value.value if isinstance(value, Enum) else str(value)


def _parsed(value: Any) -> Any:
    """Read a field of CSV as JSON; what is none is left for the schema to judge."""
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _plain(value: Any) -> Any:
    """Make the exact numbers of the file the floats that JSON columns take."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _bits(kind: Integer) -> int:
    if isinstance(kind, SmallInteger):
        return 16
    return 64 if isinstance(kind, BigInteger) else 32


def _outside(bits: int) -> Check:
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def check(values: Sequence[Any]) -> Iterator[tuple[int, str]]:
        # A None among them has no order: then each is looked at.
        with suppress(TypeError):
            if not values or (least <= min(values) and max(values) <= most):
                return
        for index, value in enumerate(values):
            if value is not None and not least <= value <= most:
                yield index, f"is not between {least} and {most}, as the column demands"

    return check


def _infinite(values: Sequence[Any]) -> Iterator[tuple[int, str]]:
    for index, value in enumerate(values):
        if value is not None and not isfinite(value):
            yield index, "is not a finite number"
