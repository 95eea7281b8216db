"""Whether PostgreSQL can write what a read schema says, and how it has to.

A schema is a promise of JSON. Where only Python can keep it (a computed field, a
serializer, a validator, a class of its own) the reason is told, and rows go through
the schema itself.
"""

import datetime as dt
import enum
import ipaddress
import typing
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, EmailStr, JsonValue, NaiveDatetime
from pydantic.fields import FieldInfo
from pydantic.functional_serializers import PlainSerializer, WrapSerializer
from pydantic.functional_validators import (
    AfterValidator,
    BeforeValidator,
    PlainValidator,
    WrapValidator,
)
from sqlalchemy import ARRAY, JSON, Column, Enum, Integer
from sqlalchemy.dialects.postgresql import CITEXT, INET
from sqlalchemy.types import TypeDecorator, TypeEngine

from howdah.models import Base64, Money, OptionalMoney, python_type
from howdah.schemas.columns import enum_values, plain_type
from howdah.schemas.parts import holds, inside, parts
from howdah.stored import Exact, Moment

__all__ = ("exact_fields", "inexpressible")


def inexpressible(
    schema: type[BaseModel], columns: Mapping[str, Column[Any]]
) -> str | None:
    """Return why PostgreSQL cannot write rows as the schema shows them, or None."""
    reasons = [*_of_schema(schema)]
    for name, info in schema.model_fields.items():
        column = columns.get(info.serialization_alias or name)
        if column is not None and (why := _of_field(info, column)):
            reasons.append(f"{name} {why}")
    return f"{schema.__name__}: {'; '.join(reasons)}" if reasons else None


def exact_fields(schema: type[BaseModel]) -> frozenset[str]:
    """Return the fields, by their names in JSON, whose decimals are texts there."""
    return frozenset(
        info.serialization_alias or name
        for name, info in schema.model_fields.items()
        if holds(info.annotation, Decimal)
        and all(each in _EXACTLY for each in _serializers(_metadata(info)))
    )


def _of_schema(schema: type[BaseModel]) -> Iterable[str]:
    rules = schema.__pydantic_decorators__
    for what, found in (
        ("computed fields", schema.model_computed_fields),
        ("serializers", {**rules.field_serializers, **rules.model_serializers}),
        ("validators", {**rules.field_validators, **rules.model_validators}),
    ):
        if found:
            yield f"has {what} ({', '.join(found)})"
    changed = [name for name in _CHANGING if schema.model_config.get(name)]
    if changed:
        yield f"is configured with {', '.join(changed)}"


_CHANGING = (
    "json_encoders",
    "ser_json_timedelta",
    "ser_json_temporal",
    "ser_json_inf_nan",
    "str_to_lower",
    "str_to_upper",
    "str_strip_whitespace",
)


def _of_field(info: FieldInfo, column: Column[Any]) -> str | None:
    metadata = _metadata(info)
    if any(_is_rule(each) for each in metadata):
        return "has a validator or a serializer of its own"
    if info.exclude or getattr(info, "exclude_if", None) is not None:
        return "is left out of what is shown"
    if _is_changed_by_python(column.type):
        return f"is changed by {type(column.type).__name__} in Python"
    serialized = Decimal in parts(info.annotation) and bool(_serializers(metadata))
    for part in parts(info.annotation):
        if not _fits(part, column.type) and not (serialized and part is Decimal):
            return f"is {part!r} of a {column.type!r}"
    return None


_OURS = tuple(
    each
    for kind in (Money, OptionalMoney, Moment, Exact, Base64)
    for each in get_args(kind)[1:]
    if isinstance(each, PlainSerializer | BeforeValidator)
)


_EXACTLY = get_args(Exact)


def _is_rule(metadata: object) -> bool:
    rules = (
        AfterValidator
        | BeforeValidator
        | PlainValidator
        | WrapValidator
        | WrapSerializer
    )
    if isinstance(metadata, PlainSerializer):
        return metadata not in _OURS and metadata.func is not float
    return isinstance(metadata, rules) and metadata not in _OURS


def _serializers(metadata: Iterable[object]) -> list[object]:
    return [each for each in metadata if isinstance(each, PlainSerializer)]


def _metadata(info: FieldInfo) -> list[Any]:
    """Return what is said beside a field's type, and inside of it."""
    return [*info.metadata, *inside(info.annotation)]


def _is_changed_by_python(type_: TypeEngine[Any]) -> bool:
    kind: Any = type(type_)
    if not isinstance(type_, TypeDecorator) or kind.__module__.startswith("sqlmodel."):
        return False
    return kind.process_result_value is not TypeDecorator.process_result_value


def _fits(part: Any, type_: TypeEngine[Any]) -> bool:
    """Say whether PostgreSQL's JSON of the column is what the type's JSON is."""
    plain = plain_type(type_)
    if part is Any:
        return not isinstance(plain, ARRAY)
    for types, fits in _FITS:
        if isinstance(plain, types):
            return bool(fits(part, plain))
    return _fits_plain(part, type_, plain)


def _fits_plain(part: Any, type_: TypeEngine[Any], plain: Any) -> bool:
    if get_origin(part) is typing.Literal:
        return all(isinstance(each, str) for each in get_args(part))
    if isinstance(part, type) and issubclass(part, enum.Enum):
        return issubclass(part, str) or python_type(type_) is str
    if isinstance(plain, INET):
        return part in {ipaddress.IPv4Interface, ipaddress.IPv6Interface}
    natural = str if isinstance(plain, CITEXT) else python_type(type_)
    return part in _ALIKE.get(natural, ())


_ALIKE: Mapping[type[Any], tuple[Any, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (float,),
    Decimal: (Decimal, float),
    str: (str, EmailStr),
    bytes: (bytes,),
    UUID: (UUID,),
    dt.date: (dt.date,),
    dt.time: (dt.time,),
    dt.datetime: (dt.datetime, AwareDatetime, NaiveDatetime),
    dt.timedelta: (dt.timedelta,),
}


def _fits_array(part: Any, plain: Any) -> bool:
    if get_origin(part) not in {list, Sequence}:
        return False
    (inner,) = get_args(part)
    item = plain.item_type
    depth = (plain.dimensions or 1) - 1
    for _ in range(depth):
        (inner,) = get_args(parts(inner)[0]) or (None,)
    formed = not isinstance(plain_type(item), Integer) and depth > 0
    return all(_fits(one, item) for one in parts(inner)) and not formed


def _fits_json(part: Any, _plain: object = None) -> bool:
    if part in _PLAIN_JSON or part is Any or part is JsonValue:
        return True
    if get_origin(part) not in {list, dict}:
        return False
    return all(_fits_json(one) for each in get_args(part) for one in parts(each))


def _fits_enum(part: Any, plain: Enum) -> bool:
    values = enum_values(plain)
    if values is None:
        return False
    if get_origin(part) is typing.Literal:
        return set(get_args(part)) >= set(values.values())
    return part in {plain.enum_class, *(type(value) for value in values.values())}


_PLAIN_JSON = (dict, list, str, int, float, bool)
_FITS: tuple[tuple[type[TypeEngine[Any]], Any], ...] = (
    (ARRAY, _fits_array),
    (JSON, _fits_json),
    (Enum, _fits_enum),
)
