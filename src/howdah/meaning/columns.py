"""What a column takes and makes of a value, and how its values compare.

As PostgreSQL does: it rounds NUMERIC to its places, refuses what is too long or too
large, and puts the values of an enum in the order of their declaration.
"""

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    DateTime,
    Dialect,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
)
from sqlalchemy.dialects import registry
from sqlalchemy.types import TypeDecorator, TypeEngine

from howdah.engine import json_text
from howdah.errors import Invalid, from_sqlstate
from howdah.limits import holds, is_short, largest, shortened

__all__ = ("asked", "comparable", "taken")

_dialect: Dialect = registry.load("postgresql.asyncpg")()


def taken(column: Column[Any], value: Any) -> Any:
    """Return what the column holds of a value, or raise Invalid."""
    return _taken(column.type, value)


def asked(type_: TypeEngine[Any], value: Any) -> Any:
    """Return what values of this type are compared with; nothing is rounded or cut."""
    type_, value = _plain(type_, value)
    if value is None or (_is_exact(type_) and isinstance(value, Decimal)):
        return value
    if isinstance(type_, String) and not isinstance(type_, Enum):
        return _text(value)
    return _taken(type_, value)


def comparable(type_: TypeEngine[Any]) -> Callable[[Any], Any]:
    """Return what makes a value one that Python compares as PostgreSQL would."""
    type_, _ = _plain(type_, None)
    if isinstance(type_, Enum):
        places = _places(type_)
        return lambda value: places.get(value, value)
    if isinstance(type_, Numeric):
        return _number
    if isinstance(type_, ARRAY):
        element = comparable(type_.item_type)
        return lambda values: [
            (v is None, None if v is None else element(v)) for v in values
        ]
    return lambda value: value


def _plain(type_: TypeEngine[Any], value: Any) -> tuple[TypeEngine[Any], Any]:
    """Return what a decorated type stands for, and what it makes of the value."""
    while isinstance(type_, TypeDecorator) and not isinstance(type_, Interval):
        process: Any = type(type_).process_bind_param
        if process is not TypeDecorator.process_bind_param:
            value = process(type_, value, _dialect)
        type_ = type_.impl_instance
    return type_, value


def _taken(type_: TypeEngine[Any], value: Any) -> Any:
    type_, value = _plain(type_, value)
    if value is None:
        return None
    if isinstance(type_, ARRAY):
        return [_taken(type_.item_type, each) for each in value]
    if isinstance(type_, Integer):
        return _whole(type_, value)
    for kind, take in _TAKERS.items():
        if isinstance(type_, kind):
            return take(type_, value)
    return value


def _whole(type_: Integer, value: Any) -> Any:
    limit = largest(type_)
    if limit is not None and not holds(limit, value):
        raise Invalid
    return value


def _is_exact(type_: TypeEngine[Any]) -> bool:
    return isinstance(type_, Numeric) and not isinstance(type_, Float)


def _exact(type_: Any, value: Any) -> Decimal:
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if type_.precision is None or number.is_nan():
        return number
    places = type_.scale or 0
    if number.is_infinite() or number.adjusted() > type_.precision - places:
        raise from_sqlstate("22003")
    with localcontext(prec=2000):
        number = number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    if number and number.adjusted() >= type_.precision - places:
        raise from_sqlstate("22003")
    return number


def _float(type_: Any, value: Any) -> float:
    number = float(value)
    if not is_short(type_):
        return number
    try:
        return shortened(number)
    except OverflowError:
        raise from_sqlstate("22003") from None


def _string(type_: Any, value: Any) -> Any:
    text = _text(value)
    if type_.length is None or len(text) <= type_.length:
        return text
    # Blanks that are too many are dropped, says the SQL standard.
    if text[type_.length :].strip(" "):
        raise from_sqlstate("22001")
    return text[: type_.length]


def _text(value: Any) -> Any:
    if isinstance(value, str) and "\0" in value:
        raise from_sqlstate("22021")
    return value


def _moment(type_: Any, value: dt.datetime) -> dt.datetime:
    if type_.timezone:
        return value.astimezone(dt.UTC)
    if value.tzinfo is not None:
        raise Invalid("A moment with a zone does not go into a column without.")
    return value


def _json(_type: Any, value: Any) -> Any:
    return json.loads(json_text(value))


def _member(type_: Any, value: Any) -> Any:
    return _labels(type_).get(value, value) if isinstance(value, str) else value


_TAKERS: Mapping[type[Any], Callable[[Any, Any], Any]] = {
    Float: _float,
    Numeric: _exact,
    Enum: _member,
    String: _string,
    DateTime: _moment,
    JSON: _json,
    LargeBinary: lambda _type, value: bytes(value),
}


def _labels(type_: Any) -> Mapping[str, Any]:
    """Return what Python has for each label of an enum, in their order."""
    cls = type_.enum_class
    if cls is None:
        return {label: label for label in type_.enums}
    members = (m for name, m in cls.__members__.items() if m.name == name)
    return dict(zip(type_.enums, members, strict=False))


def _places(type_: Any) -> Mapping[Any, Any]:
    labels = _labels(type_)
    if not type_.native_enum:
        return {member: label for label, member in labels.items()}
    return {member: place for place, member in enumerate(labels.values())}


def _number(value: Any) -> tuple[bool, Any]:
    """Put NaN above all numbers, and let it be equal to itself."""
    return (True, 0) if math.isnan(value) else (False, value)
