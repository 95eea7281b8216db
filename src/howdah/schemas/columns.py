"""A column as the type of what people send, see and filter by.

The type takes what the column holds and nothing that it would cut, round or refuse:
lengths, ranges, digits. A column whose values JSON has no words for has no type here.
"""

import datetime as dt
import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    JsonValue,
    PlainSerializer,
    PydanticSchemaGenerationError,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic import Field as Constrained
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Time,
    Uuid,
)
from sqlalchemy.dialects.postgresql import CITEXT, INET, INTERVAL
from sqlalchemy.types import TypeDecorator, TypeEngine

from howdah.digits import Digits
from howdah.errors import Misconfigured
from howdah.models import Base64, Described
from howdah.stored import AS_STORED, Duration, Exact, Moment

__all__ = (
    "enum_values",
    "filter_type",
    "is_own_rule",
    "is_readable",
    "largest",
    "plain_type",
    "read_type",
    "write_type",
)

_MOST_EXACT_DIGITS = 15
"""Decimal digits that every reader's double holds without loss."""


def write_type(column: Column[Any]) -> Any:
    """Return the type of the values that people may store in the column."""
    return _nullable(column, _write(column, column.type))


def read_type(column: Column[Any]) -> Any:
    """Return the type of the column's values as people see them."""
    return _nullable(column, _read(column, column.type))


def filter_type(column: Column[Any]) -> Any:
    """Return the type of what the column may be compared to."""
    kind = _write(column, column.type)
    if isinstance(
        plain_type(column.type), Date | DateTime | Time | Interval | INTERVAL
    ):
        return Annotated[kind, BeforeValidator(_iso_8601(kind))]
    return kind


@cache
def is_readable(kind: type[Any]) -> bool:
    """Say whether Pydantic can read values of a type."""
    try:
        TypeAdapter(kind)
    except PydanticSchemaGenerationError:
        return False
    return True


def is_own_rule(rule: object) -> bool:
    """Say whether a rule is one of derived schemas, which knows no way of reading."""
    return isinstance(rule, Digits) or any(rule is own for own in _OWN)


def plain_type(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type of the database that a decorated type is stored as."""
    while isinstance(type_, TypeDecorator) and not isinstance(type_, Interval):
        type_ = type_.impl_instance
    return type_


def enum_values(type_: Enum) -> dict[str, str | int] | None:
    """Return what each label of an enum is in JSON; None where Python has to say."""
    if type_.enum_class is None:
        return {label: label for label in type_.enums}
    # The labels are in the order of the members, by name or by what the type calls.
    members = type_.enum_class.__members__
    values = {
        label: member.value
        for label, member in zip(type_.enums, members.values(), strict=False)
    }
    plain = len(values) == len(members) and all(
        isinstance(value, str | int) and not isinstance(value, bool)
        for value in values.values()
    )
    return values if plain else None


def largest(type_: TypeEngine[Any]) -> int | None:
    """Return the largest number that an integer column holds."""
    plain = plain_type(type_)
    if isinstance(plain, SmallInteger):
        return 2**15 - 1
    if isinstance(plain, BigInteger):
        return 2**63 - 1
    return 2**31 - 1 if isinstance(plain, Integer) else None


def _nullable(column: Column[Any], kind: Any) -> Any:
    return kind | None if column.nullable else kind


def _write(column: Column[Any], type_: TypeEngine[Any]) -> Any:
    plain = plain_type(type_)
    if isinstance(plain, ARRAY):
        return _lists(_write(column, plain.item_type), plain.dimensions)
    if isinstance(plain, Numeric) and not isinstance(plain, Float):
        return _decimal(plain)
    if isinstance(plain, Float):
        return Annotated[float, Constrained(allow_inf_nan=False)]
    if isinstance(plain, DateTime):
        return _AwareMoment if plain.timezone else _NaiveMoment
    if isinstance(plain, Time):
        return _AwareTime if plain.timezone else _NaiveTime
    return _Address if isinstance(plain, INET) else _alike(column, plain)


def _read(column: Column[Any], type_: TypeEngine[Any]) -> Any:
    plain = plain_type(type_)
    if isinstance(plain, ARRAY):
        return _lists(_read(column, plain.item_type), plain.dimensions)
    if isinstance(plain, Numeric) and not isinstance(plain, Float):
        return _number(plain)
    if isinstance(plain, DateTime) and not plain.timezone:
        return Annotated[dt.datetime, AS_STORED, _LOCAL_MOMENT]
    if isinstance(plain, Time):
        said = _TIME if plain.timezone else _LOCAL_TIME
        return Annotated[dt.time, AS_STORED, said]
    for types, kind in _READ:
        if isinstance(plain, types) and not isinstance(plain, Enum):
            return kind
    return _alike(column, plain)


def _alike(column: Column[Any], plain: TypeEngine[Any]) -> Any:
    """Return a type that is the same on the way in and on the way out."""
    if isinstance(plain, Described):
        return plain.annotation
    if isinstance(plain, JSON):
        return JsonValue if column.nullable else _SomeJson
    if isinstance(plain, Enum):
        return plain.enum_class or Literal[tuple(plain.enums)]
    if isinstance(plain, String):
        return _text(plain)
    if isinstance(plain, Integer):
        limit = largest(plain) or 0
        return Annotated[int, Constrained(ge=-limit - 1, le=limit)]
    for types, kind in _ALIKE:
        if isinstance(plain, types):
            return kind
    raise Misconfigured(
        f"column {column.name!r} of {column.table.name!r} is {plain!r}, for which no "
        "schema can be derived; give the resource schemas that say what it is in JSON"
    )


def _text(plain: String) -> Any:
    if plain.length is None:
        return str
    return Annotated[str, Constrained(max_length=plain.length)]


def _decimal(plain: Numeric[Any]) -> Any:
    if plain.precision is None:
        return Annotated[Decimal, Digits()]
    digits = Constrained(max_digits=plain.precision, decimal_places=plain.scale or 0)
    return Annotated[Decimal, digits, Digits()]


def _number(plain: Numeric[Any]) -> Any:
    """Return a number where a double holds it exactly, and a text where it may not."""
    if plain.precision is None or plain.precision > _MOST_EXACT_DIGITS:
        return Exact
    return Annotated[
        Decimal, PlainSerializer(float, return_type=float, when_used="json")
    ]


def _lists(kind: Any, dimensions: int | None) -> Any:
    for _ in range(dimensions or 1):
        kind = list[kind | None] if kind is not JsonValue else list[kind]
    return kind


def _to_utc(value: dt.datetime) -> dt.datetime:
    """Return the moment without its zone: in UTC, as such a column is read."""
    try:
        return (
            value
            if value.tzinfo is None
            else value.astimezone(dt.UTC).replace(tzinfo=None)
        )
    except OverflowError:
        raise ValueError("is outside of the years 1 to 9999 in UTC") from None


def _in_utc(value: dt.datetime) -> dt.datetime:
    """Refuse a moment at an end of time that is beyond it in UTC, where drivers go."""
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("is outside of the years 1 to 9999 in UTC") from None


@cache
def _iso_8601(kind: Any) -> Callable[[object], object]:
    """Return what reads a text, and no number: nobody says that it is since 1970."""
    adapter: TypeAdapter[object] = TypeAdapter(kind)

    def read(value: object) -> object:
        number = isinstance(value, str) and _NUMBER.fullmatch(value)
        if number or isinstance(value, int | float):
            raise ValueError("has to be written as ISO 8601 does")
        try:
            return adapter.validate_python(value)
        except ValidationError as exc:
            raise ValueError(exc.errors()[0]["msg"]) from None

    return read


_NUMBER = re.compile(r"\s*[-+]?[0-9.]+\s*")


def _without_zone(value: dt.time) -> dt.time:
    if value.tzinfo is None:
        return value
    # A fixed offset needs no day to be known.
    day = dt.datetime.combine(dt.date(2000, 1, 2), value)
    return day.astimezone(dt.UTC).time()


def _with_zone(value: dt.time) -> dt.time:
    return value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)


def _address(value: object) -> object:
    """Read an address at once, and not as each kind in turn, with a fault for each."""
    if isinstance(value, int | float):
        raise ValueError("has to be a text")  # noqa: TRY004 - Pydantic wants it
    if not isinstance(value, str):
        return value
    if "%" in value:
        raise ValueError("has a zone, which PostgreSQL does not keep")
    try:
        ipaddress.ip_interface(value)
    except ValueError:
        raise ValueError("has to be an IP address, as 10.0.0.1 or ::1/64") from None
    return value


# https://spec.openapis.org/registry/format: a moment on the wall, without an offset.
_LOCAL_MOMENT = WithJsonSchema({"type": "string", "format": "date-time-local"})
_LOCAL_TIME = WithJsonSchema({"type": "string", "format": "time-local"})
_TIME = WithJsonSchema({"type": "string", "format": "time"})
_AwareMoment = Annotated[dt.datetime, AwareDatetime, AfterValidator(_in_utc)]
_NaiveMoment = Annotated[dt.datetime, AfterValidator(_to_utc), _LOCAL_MOMENT]
_NaiveTime = Annotated[dt.time, AfterValidator(_without_zone), _LOCAL_TIME]
_AwareTime = Annotated[dt.time, AfterValidator(_with_zone)]
_OWN = tuple(
    rule
    for kind in (_AwareMoment, _NaiveMoment, _AwareTime, _NaiveTime)
    for rule in get_args(kind)[1:]
)
_AnyAddress = ipaddress.IPv4Interface | ipaddress.IPv6Interface
_Address = Annotated[_AnyAddress, BeforeValidator(_address)]
_SomeJson = dict[str, JsonValue] | list[JsonValue] | str | bool | int | float
_READ: tuple[tuple[Any, Any], ...] = (
    (Float, float),
    (DateTime, Moment),
    ((Interval, INTERVAL), Duration),
    (Integer, int),
    (String, str),
)
_ALIKE: tuple[tuple[Any, Any], ...] = (
    (Boolean, bool),
    (Date, dt.date),
    ((Interval, INTERVAL), dt.timedelta),
    (Uuid, UUID),
    (LargeBinary, Base64),
    (CITEXT, str),
    (INET, _AnyAddress),
)
