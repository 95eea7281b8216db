"""What BSON holds of a column's value, and the value that comes back.

As Beanie has it, so that what a resource stores a document of Beanie's can read.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from beanie import PydanticObjectId
from beanie.odm.utils.encoder import Encoder
from bson import Binary, DBRef, Decimal128, ObjectId
from bson.codec_options import TypeCodec, TypeRegistry
from sqlalchemy import (
    Column,
    Date,
    DateTime,
    Double,
    Enum,
    Interval,
    LargeBinary,
    Numeric,
    Uuid,
)

from howdah.meaning import Values
from howdah.models import table_of

__all__ = ("DECIMALS", "decoded", "encoded", "kept", "read", "written")

Raw = Mapping[str, Any]
_encoder = Encoder(to_db=True)


class _Decimals(TypeCodec):
    """Python's Decimal, which BSON has another class for."""

    python_type = Decimal
    bson_type = Decimal128

    def transform_python(self, value: Any) -> Any:
        """Return what BSON holds."""
        return Decimal128(value)

    def transform_bson(self, value: Any) -> Any:
        """Return what Python calculates with."""
        return value.to_decimal()


DECIMALS = TypeRegistry([_Decimals()])


def read(columns: Iterable[Column[Any]], raw: Raw) -> Values:
    """Return a document as the values of these columns."""
    return {column: _read(column, raw) for column in columns}


def written(values: Values) -> dict[str, Any]:
    """Return values as the fields of a document."""
    return {c.info["path"]: encoded(c, v) for c, v in values.items()}


def encoded(column: Column[Any], value: Any) -> Any:
    """Return what BSON holds of a value of the column."""
    return None if value is None else _linked(column, _put(column)(value))


def decoded(column: Column[Any], value: Any) -> Any:
    """Return the value of the column that BSON has held."""
    if value is None:
        return None
    if isinstance(value, DBRef):
        value = value.id
    if isinstance(value, ObjectId):
        return PydanticObjectId(value)
    return _take(column)(value)


def kept(value: Any) -> Any:
    """Return what will come back of a value: BSON's moments have milliseconds."""
    if isinstance(value, dt.datetime):
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    return value


def _read(column: Column[Any], raw: Raw) -> Any:
    value = raw.get(column.info["path"], _ABSENT)
    if value is not _ABSENT:
        return decoded(column, value)
    # A document that is older than the field, as Beanie would read it.
    default: Any = column.default
    if default is None:
        return None
    return default.arg if default.is_scalar else default.arg(None)


_ABSENT = object()


def _linked(column: Column[Any], value: Any) -> Any:
    if "linked" not in column.info:
        return value
    name = table_of(column.info["linked"]()).name
    if isinstance(value, list):
        return [DBRef(name, each) for each in value]
    return DBRef(name, value)


def _put(column: Column[Any]) -> Callable[[Any], Any]:
    for kind, put, _ in _FORMS:
        if isinstance(column.type, kind):
            return put
    return _encoder.encode


def _take(column: Column[Any]) -> Callable[[Any], Any]:
    for kind, _, take in _FORMS:
        if isinstance(column.type, kind):
            return lambda value: take(value, column.type)
    return lambda value: _unlinked(value) if "linked" in column.info else value


def _unlinked(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [each.id if isinstance(each, DBRef) else each for each in value]


def _day(value: dt.date) -> dt.datetime:
    return dt.datetime.combine(value, dt.time.min)


def _aware(value: dt.datetime, _type: Any) -> dt.datetime:
    return value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)


def _uuid(value: Any, _type: Any) -> Any:
    return value.as_uuid() if isinstance(value, Binary) else value


def _decimal(value: Any, _type: Any) -> Decimal:
    if isinstance(value, Decimal128):
        return value.to_decimal()
    return value if isinstance(value, Decimal) else Decimal(str(value))


_FORMS: tuple[tuple[Any, Callable[[Any], Any], Callable[[Any, Any], Any]], ...] = (
    (Enum, lambda value: value.value, lambda value, type_: type_.enum_class(value)),
    (Date, _day, lambda value, _: value.date()),
    (DateTime, lambda value: value, _aware),
    (
        Interval,
        lambda value: value.total_seconds(),
        lambda v, _: dt.timedelta(seconds=v),
    ),
    (Double, float, lambda value, _: float(value)),
    (Numeric, lambda value: Decimal128(_decimal(value, None)), _decimal),
    (Uuid, Binary.from_uuid, _uuid),
    (LargeBinary, bytes, lambda value, _: bytes(value)),
)
