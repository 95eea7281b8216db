"""What a column takes, where the database itself does not look: SQLite.

As PostgreSQL does it: too long, too many digits, a NUL are refused.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from sqlalchemy import Column, Float, Interval, Numeric, String
from sqlalchemy.types import Enum, TypeDecorator, TypeEngine

from howdah.errors import from_sqlstate

__all__ = ("fitted",)


def fitted(
    fields: Mapping[str, Column[Any]], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values as their columns hold them, or raise Invalid."""
    return {name: _fitted(fields[name].type, value) for name, value in values.items()}


def _fitted(type_: TypeEngine[Any], value: Any) -> Any:
    while isinstance(type_, TypeDecorator) and not isinstance(type_, Interval):
        type_ = type_.impl_instance
    if isinstance(value, str) and not isinstance(type_, Enum):
        return _text(type_, value)
    if isinstance(type_, Numeric) and not isinstance(type_, Float):
        return _number(type_, value)
    return value


def _text(type_: TypeEngine[Any], value: str) -> str:
    if "\0" in value:
        raise from_sqlstate("22021")
    length = type_.length if isinstance(type_, String) else None
    if length is None or len(value) <= length:
        return value
    # Blanks that are too many are dropped, says the SQL standard.
    if value[length:].strip(" "):
        raise from_sqlstate("22001")
    return value[:length]


def _number(type_: Numeric[Any], value: Any) -> Any:
    if value is None or type_.precision is None:
        return value
    places = type_.scale or 0
    number = Decimal(str(value))
    if not number.is_finite() or number.adjusted() > type_.precision:
        raise from_sqlstate("22003")
    number = number.quantize(Decimal(1).scaleb(-places), context=_EXACT)
    if number and number.adjusted() >= type_.precision - places:
        raise from_sqlstate("22003")
    return number


_EXACT = Context(prec=2000, rounding=ROUND_HALF_UP)
