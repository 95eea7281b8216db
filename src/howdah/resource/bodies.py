"""A body of rows, or of one, read at once by Pydantic's own reader of JSON.

It is several times as fast as `route.texts`, and takes what that refuses: a key given
twice, a NaN, a number for its nearest float. Where a schema lets it be seen that a body
has none of these, it is read here to the same values, or refused; every body that is
not read is left to the reader that says what is wrong with it.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from functools import cache, cached_property, partial
from types import NoneType
from typing import Annotated, Any, Literal, Required, TypeVar, get_args, get_origin
from uuid import UUID

from annotated_types import BaseMetadata
from pydantic import (
    AfterValidator,
    AllowInfNan,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NaiveDatetime,
    PlainSerializer,
    Strict,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sqlalchemy import Column
from typing_extensions import TypedDict

from howdah.resource.verbatim import Verbatim, has_long_number, rounds
from howdah.schemas import absent, has_default, inside, is_own_rule, parts
from howdah.sent import ReadRows, Values

__all__ = ("Read", "late", "quick_changes", "quick_row", "quick_rows")


M = TypeVar("M", bound=BaseModel)
R = TypeVar("R")
Reader = Callable[[bytes], R | None]
Read = Reader[ReadRows]
_STRICTLY = ConfigDict(strict=True, allow_inf_nan=False, extra="ignore")


def quick_rows(
    schema: type[BaseModel],
    fields: Mapping[str, Column[Any]],
    *,
    most: int,
    asked: bool = False,
) -> Read | None:
    """Return what reads a body where it can, None for a schema that asks for more.

    With `asked` somebody will look at each row.
    """
    if not _is_read(schema, fields):
        return None
    return _Reader(schema, fields, most=most, asked=asked, filled=_filled(schema)).read


def quick_changes(
    schema: type[BaseModel],
    fields: Mapping[str, Column[Any]],
    *,
    most: int,
    never_null: Collection[str],
) -> Read | None:
    """Return what reads changes with their keys, which stay without defaults.

    Fields that are `never_null` take no null, whatever the schema says.
    """
    if not _is_read(schema, fields):
        return None
    read = _Reader(schema, fields, most=most, asked=True, filled={}).read
    infos = schema.model_fields
    if not any(_takes_null(infos[name].annotation) for name in never_null):
        return read
    return lambda body: None if b"null" in body else read(body)


def quick_row(
    schema: type[M], fields: Mapping[str, Column[Any]], *, never_null: Collection[str]
) -> Reader[M] | None:
    """Return what reads a body of one row, None for a schema that asks for more."""
    if not _is_read(schema, fields):
        return None
    strictly = _strictly(schema)
    infos = schema.model_fields
    no_null = any(_takes_null(infos[name].annotation) for name in never_null)
    is_exact = any(Decimal in parts(info.annotation) for info in infos.values())

    def read(body: bytes) -> M | None:
        if (
            _has_nul(body)
            or (no_null and b"null" in body)
            or (is_exact and has_long_number(body))
        ):
            return None
        try:
            row = strictly.model_validate_json(body)
        except ValidationError:
            return None
        return row if _has_members(body, len(row.model_fields_set)) else None

    return read


def _strictly(schema: type[M]) -> type[M]:
    """Return the schema as `_values_of` has it, with instances."""
    namespace = {"__module__": schema.__module__, "__doc__": schema.__doc__}
    kind: Any = type(schema)
    made: type[M] = kind(
        schema.__name__, (schema,), {"model_config": _STRICTLY, **namespace}
    )
    return made


def late(build: Callable[[], Reader[R] | None]) -> Reader[R]:
    """Return what is built when there is something to read."""
    built = cache(build)

    def read(body: bytes) -> R | None:
        reader = built()
        return None if reader is None else reader(body)

    return read


def _takes_null(annotation: Any) -> bool:
    return annotation is NoneType or any(map(_takes_null, get_args(annotation)))


def _filled(schema: type[BaseModel]) -> Mapping[str, Any]:
    """Return what becomes of members that are not sent, and do not become NULL."""
    return {
        name: info.default
        for name, info in schema.model_fields.items()
        if info.default not in (None, PydanticUndefined)
    }


class _Reader:
    """Reads the rows of one schema."""

    def __init__(
        self,
        schema: type[BaseModel],
        fields: Mapping[str, Column[Any]],
        *,
        most: int,
        asked: bool,
        filled: Mapping[str, Any],
    ) -> None:
        infos = schema.model_fields
        self._schema, self._most, self._width = schema, most, len(infos)
        self._is_exact = any(
            Decimal in parts(info.annotation) for info in infos.values()
        )
        self._verbatim = Verbatim.of(schema, fields)
        self._filled = filled
        # Somebody will ask which rows send a field that its column may fill as well.
        known = (fields[name] for name in infos if name in fields)
        self._keeps = asked or self._verbatim is None or any(map(has_default, known))

    @cached_property
    def _row(self) -> Any:
        return _values_of(self._schema)

    @cached_property
    def _rows(self) -> TypeAdapter[Any]:
        return TypeAdapter(list[self._row])  # type: ignore[name-defined] # a value

    @cached_property
    def _sizes(self) -> TypeAdapter[Any]:
        return TypeAdapter(list[Annotated[self._row, AfterValidator(len)]])  # type: ignore[name-defined] # a value

    def read(self, body: bytes) -> ReadRows | None:
        """Return the rows, None where only the strict reader can say what they are."""
        if _has_nul(body) or (self._is_exact and has_long_number(body)):
            return None
        try:
            size, sent, values = self._kept(body) if self._keeps else self._seen(body)
        except ValidationError:
            return None
        if size > self._most or not _has_members(body, sent):
            return None
        full = sent == size * self._width
        return ReadRows(
            self._schema,
            size,
            values,
            filled=self._filled,
            text=body if self._is_text(body, full=full) else None,
            full=full,
        )

    def _kept(self, body: bytes) -> "_Read":
        rows = self._rows.validate_json(body)
        return len(rows), sum(map(len, rows)), lambda: rows

    def _seen(self, body: bytes) -> "_Read":
        # A dictionary that is forgotten at once costs less than a thousand that are
        # kept, and most often nobody asks for them again.
        sizes = self._sizes.validate_json(body)
        return len(sizes), sum(sizes), partial(self._rows.validate_json, body)

    def _is_text(self, body: bytes, *, full: bool) -> bool:
        """Say whether PostgreSQL reads the same rows from the body itself."""
        return (
            self._verbatim is not None
            and (full or not self._filled)
            and self._verbatim.takes(body)
        )


_Read = tuple[int, int, Callable[[], Values]]


def _has_nul(body: bytes) -> bool:
    return b"\\" in body and b"\\u0000" in body


def _has_members(body: bytes, count: int) -> bool:
    """Say whether the objects of a body have so many members together, and no more.

    There are more where a key is unknown, or given twice. Each has a colon, and texts
    may have others: those behind quotes are counted as members.
    """
    return count == body.count(b":") or (
        count == body.translate(None, b" \t\r\n").count(b'":')
    )


def _values_of(schema: type[BaseModel]) -> Any:
    """Return the type of the values of a row, which are what its members say.

    Unknown members are left out: they are counted, which takes less than to name them.
    """
    kinds = {name: _kind(info) for name, info in schema.model_fields.items()}
    values: Any = TypedDict(schema.__name__, kinds, total=False)  # type: ignore[misc] # made here
    values.__pydantic_config__ = {**schema.model_config, **_STRICTLY}  # type: ignore[attr-defined] # Pydantic asks for it
    return values


def _kind(info: Any) -> Any:
    kind = info.annotation
    for rule in info.metadata:
        kind = Annotated[kind, rule]
    if info.validation_alias is not None:
        kind = Annotated[kind, Field(validation_alias=info.validation_alias)]
    return Required[kind] if info.is_required() else kind


def _is_read(schema: type[BaseModel], fields: Mapping[str, Column[Any]]) -> bool:
    """Say whether JSON's own kinds of values tell what rows of a schema are."""
    infos = schema.model_fields
    return (
        _is_plain(schema)
        and all(_is_known(name, it, fields) for name, it in infos.items())
        and not any(_alias(it) in infos for it in infos.values())
    )


def _is_plain(schema: type[BaseModel]) -> bool:
    """Say whether nothing but the types of its fields says what a schema takes."""
    said, config = schema.__pydantic_decorators__, schema.model_config
    checks = (said.validators, said.field_validators, said.root_validators)
    return (
        not any((*checks, said.model_validators))
        and schema.__pydantic_post_init__ is None
        and not (schema.__pydantic_custom_init__ or schema.__pydantic_root_model__)
        and not schema.__private_attributes__
        and config.get("extra", "forbid") == "forbid"
        and not config.keys() & _UNKNOWN
        and schema.__get_pydantic_core_schema__.__func__  # type: ignore[attr-defined] # a class method
        is BaseModel.__get_pydantic_core_schema__.__func__  # type: ignore[attr-defined] # a class method
    )


# What makes of a value another one than is seen here, or reads it by another name.
_UNKNOWN = frozenset(
    ("alias_generator", "coerce_numbers_to_str", "plugin_settings", "validate_default")
)


def _is_known(name: str, info: Any, fields: Mapping[str, Column[Any]]) -> bool:
    """Say whether JSON's own kinds of values tell what a field takes."""
    kinds = [*parts(info.annotation)]
    said = [*_rules((*info.metadata, *inside(info.annotation)))]
    return (
        len(kinds) == 1
        and (_is_kind(kinds[0]) or (kinds[0] is Decimal and rounds(fields.get(name))))
        and all(map(_is_rule, said))
        and not any(map(_is_lax, said))
        and info.default_factory in (None, absent)
        and (not info.validate_default or type(info.default) in kinds)
        and isinstance(_alias(info), str | NoneType)
        and info.alias in (None, _alias(info))
    )


def _alias(info: Any) -> Any:
    return info.validation_alias


def _rules(said: Iterable[Any]) -> Iterable[Any]:
    """Yield what is said, and what a field in a field says."""
    for rule in said:
        if isinstance(rule, FieldInfo):
            yield from rule.metadata
        else:
            yield rule


def _is_kind(kind: Any) -> bool:
    """Say whether JSON read strictly is never read to another value than otherwise."""
    if get_origin(kind) is Literal:
        return all(isinstance(each, str) for each in get_args(kind))
    return kind in _KINDS or (isinstance(kind, type) and issubclass(kind, Enum))


_MOMENTS = (dt.date, dt.datetime, dt.time, dt.timedelta, AwareDatetime, NaiveDatetime)
_KINDS = frozenset((bool, float, int, str, UUID, *_MOMENTS))


def _is_rule(said: Any) -> bool:
    known = isinstance(said, AllowInfNan | BaseMetadata | WithJsonSchema)
    return known or is_own_rule(said) or _is_for_answers(said)


def _is_for_answers(said: Any) -> bool:
    """Say whether it only says how a value is written into JSON."""
    return isinstance(said, PlainSerializer) and said.when_used.startswith("json")


def _is_lax(said: Any) -> bool:
    """Say whether a field sets for itself how strictly it is read."""
    return (
        isinstance(said, Strict)
        or getattr(said, "allow_inf_nan", False) is not False
        or hasattr(said, "strict")
    )
