"""What a number becomes in its column: how large it may be, and how short it is."""

import struct
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import REAL, Column, Double, Float, Integer, SmallInteger
from sqlalchemy.types import BigInteger, TypeEngine

from howdah.errors import FieldError, Invalid

__all__ = ("holds", "is_short", "largest", "shortened", "too_large", "too_long")


def largest(type_: TypeEngine[Any]) -> int | None:
    """Return the largest number that an integer column holds."""
    if isinstance(type_, SmallInteger):
        return 2**15 - 1
    if isinstance(type_, BigInteger):
        return 2**63 - 1
    return 2**31 - 1 if isinstance(type_, Integer) else None


def too_large(
    fields: Mapping[str, Column[Any]], values: Mapping[str, Any]
) -> tuple[FieldError, ...]:
    """Return which of these values are too large for their columns.

    A list stands for the values of a batch's rows.
    """
    return tuple(
        FieldError(
            field=name,
            index=index,
            code=Invalid.code,
            message=f"is larger than {limit}, which is all that the column holds",
        )
        for name, column in fields.items()
        if (limit := largest(column.type)) is not None
        for index, value in _numbered(values.get(name))
        if isinstance(value, int) and not holds(limit, value)
    )


def too_long(
    fields: Mapping[str, Column[Any]], values: Mapping[str, Any]
) -> tuple[FieldError, ...]:
    """Return which of these values are longer than their columns; see `too_large`."""
    return tuple(
        FieldError(
            field=name,
            index=index,
            code=Invalid.code,
            message=f"is longer than {limit}, which is all that the column holds",
        )
        for name, column in fields.items()
        if (limit := getattr(column.type, "length", None)) is not None
        for index, value in _numbered(values.get(name))
        # Blanks that are too many are dropped, says the SQL standard.
        if isinstance(value, str) and len(value.rstrip(" ")) > limit
    )


def _numbered(value: Any) -> Iterable[tuple[int | None, Any]]:
    """Return a value, or the values of a batch with the numbers of their rows."""
    return enumerate(value) if isinstance(value, list) else [(None, value)]


def holds(largest: int, value: int) -> bool:
    """Say whether a column with this largest number holds the value."""
    return -largest - 1 <= value <= largest


def is_short(type_: TypeEngine[Any]) -> bool:
    """Say whether a column holds floats of 24 bits: REAL, to PostgreSQL."""
    if isinstance(type_, REAL):
        return True
    is_float = isinstance(type_, Float) and not isinstance(type_, Double)
    return is_float and (type_.precision or _LONG) <= _SHORT  # type: ignore[attr-defined] # a Float


_SHORT, _LONG = 24, 53  # bits


def shortened(number: float) -> float:
    """Return what a short float is of a number, by the shortest text that means it.

    Raises OverflowError for one that is too large.
    """
    kept = struct.pack("f", number)
    shown = (float(f"{number:.{digits}g}") for digits in range(1, 10))
    return next((each for each in shown if _is_kept(each, kept)), number)


def _is_kept(number: float, kept: bytes) -> bool:
    try:
        return struct.pack("f", number) == kept
    except OverflowError:
        return False
