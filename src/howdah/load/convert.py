"""Values between the file, the schema and PostgreSQL's binary form.

asyncpg takes the very Python type of each column and no other: Decimal for numeric,
aware datetimes for timestamptz, text for JSON. Whole columns are converted at once, and
those whose type needs nothing are passed on as they are.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from math import isfinite
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
Convert = Callable[[Any], Any]
Check = Callable[[Sequence[Any]], Iterator[tuple[int, str]]]

_DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call]


def parser_of(column: Column[Any], *, text: bool) -> Parse | None:
    """Return what reads a JSON or array value before the schema sees it, if needed."""
    kind = kind_of(column)
    if not isinstance(kind, (JSON, ARRAY)):
        return None
    return _parsed if text else _plain


def convert_of(column: Column[Any]) -> Convert | None:
    """Return what makes asyncpg's value of one of the schema's, if needed."""
    steps = [step for step in (_native(kind_of(column)), _processor(column)) if step]
    if len(steps) == 2:  # noqa: PLR2004 - a pair
        first, second = steps
        return lambda value: second(first(value))
    return steps[0] if steps else None


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


def _processor(column: Column[Any]) -> Convert | None:
    return column.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)


def _native(kind: TypeEngine[Any]) -> Convert | None:
    if isinstance(kind, JSON):
        return to_jsonable_python
    if isinstance(kind, Numeric) and not isinstance(kind, Float):
        return _decimal
    if isinstance(kind, DateTime):
        return _aware if kind.timezone else _naive
    plain = isinstance(kind, String) and not isinstance(kind, Enumerated)
    return _text if plain else None


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
    if value is None or isinstance(value, str):
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
        for index, value in enumerate(values):
            if value is not None and not least <= value <= most:
                yield index, f"is not between {least} and {most}, as the column demands"

    return check


def _infinite(values: Sequence[Any]) -> Iterator[tuple[int, str]]:
    for index, value in enumerate(values):
        if value is not None and not isfinite(value):
            yield index, "is not a finite number"
