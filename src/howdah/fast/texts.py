"""Rows that go to PostgreSQL as one text of JSON, which costs less than arrays do.

Only columns whose values PostgreSQL reads from JSON as exactly what the driver would
have sent: of short floats, moments and lists, JSON and enums it does not, and their
arrays stand beside the text. Where that cannot be said of a schema, nothing goes so.
"""

import datetime as dt
import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, get_origin
from uuid import UUID

from pydantic import BaseModel, PlainSerializer, WrapSerializer
from pydantic_core import PydanticSerializationError, to_json
from sqlalchemy import (
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
    String,
    Time,
    Uuid,
)
from sqlalchemy.types import TypeEngine

from howdah.fast.batches import Batch
from howdah.fast.plans import Default
from howdah.limits import is_short
from howdah.schemas import has_default, inside, parts
from howdah.sent import SentChanges, SentRows
from howdah.statements import ROWS, sent_name, value_name

__all__ = ("Columns", "text_batch", "text_changes")

Fields = Mapping[str, Column[Any]]


@dataclass(frozen=True, slots=True)
class Columns:
    """How the fields of a schema go to the columns of a table."""

    texts: frozenset[str]
    """The fields whose values a text of JSON holds."""
    arrays: frozenset[str]
    """The fields whose values are in an array beside it, as the instances have them."""

    @classmethod
    def of(cls, schema: type[BaseModel], fields: Fields) -> "Columns | None":
        """Return how they go, None where values are not what instances hold."""
        infos = {n: it for n, it in schema.model_fields.items() if n in fields}
        if not (_is_plain(schema) and all(map(_holds_scalars, infos.values()))):
            return None
        texts = frozenset(
            name
            for name, info in infos.items()
            if {*parts(info.annotation)} <= _spoken(fields[name].type)
        )
        return cls(texts, frozenset(infos.keys() - texts)) if texts else None


def text_batch(
    rows: SentRows, columns: Columns, fields: Fields, defaults: Mapping[str, Default]
) -> Batch | None:
    """Return what new rows send, None where no text can hold it."""
    given: dict[str, Any] = {}
    names, partly, same = [], set(), []
    for name, column in fields.items():
        said = _said(rows, name, column, columns)
        if name in defaults and not any(said) and _is_scalar(column):
            same.append(name)
            given[value_name(name)] = column.default.arg  # type: ignore[union-attr] # it is one
        elif name in defaults and not all(said):
            given[value_name(name)] = _filled(rows, name, said, defaults[name], column)
        elif not any(said):
            continue
        elif not all(said):
            partly.add(name)
            given[sent_name(name)] = said
        names.append(name)
    texts = [n for n in names if n in columns.texts and value_name(n) not in given]
    text = _text(rows, texts, whole=not columns.arrays)
    if text is None:
        return None
    for name in names:
        if name not in texts and value_name(name) not in given:
            given[value_name(name)] = [it.get(name) for it in rows.values]
    return Batch(
        names=tuple(names),
        partly=frozenset(partly),
        idle=False,
        arrays={ROWS: text, **given},
        texts=tuple(texts),
        same=tuple(same),
    )


def text_changes(
    rows: SentChanges,
    keys: Sequence[str],
    columns: Columns,
    fields: Fields,
    touches: Mapping[str, Default],
) -> Batch | None:
    """Return what changes send, None where no text can hold it.

    Python fills in nothing here: what it fills depends on whether a row changes.
    """
    free = rows.schema.model_fields.keys() - {*keys}
    sent = free if rows.full else free & set[str]().union(*rows.values)
    names = [name for name in fields if name in sent]
    texts = [name for name in names if name in columns.texts]
    if touches or not texts or columns.arrays:
        return None
    text = rows.text or to_json(rows.values, inf_nan_mode="strings")
    partly = [] if rows.full else _partly(rows, names)
    given = {sent_name(n): [n in row for row in rows.values] for n in partly}
    idle = not (rows.full or all(len(row) > len(keys) for row in rows.values))
    if idle:
        given[sent_name("")] = [len(row) > len(keys) for row in rows.values]
    return Batch(
        names=tuple(names),
        partly=frozenset(partly),
        idle=idle,
        arrays={ROWS: text.decode(), **given},
        texts=tuple(texts),
    )


def _partly(rows: SentChanges, names: Sequence[str]) -> list[str]:
    return [name for name in names if not all(name in row for row in rows.values)]


def _said(
    rows: SentRows, name: str, column: Column[Any], columns: Columns
) -> Sequence[bool]:
    """Return which rows send a field: of columns without a default, NULL is sent."""
    if name not in columns.texts and name not in columns.arrays:
        return (False,)
    if not has_default(column):
        return (True,)
    return rows.which_send(name)


def _filled(
    rows: SentRows,
    name: str,
    said: Sequence[bool],
    default: Default,
    column: Column[Any],
) -> list[Any]:
    """Return the values of a field that Python fills where rows do not send it."""
    known: Any = column.default
    fill: Callable[[int], Any] = (
        (lambda _index: known.arg)
        if known.is_scalar
        else lambda index: default(_Named(rows, index))
    )
    if not any(said):
        return [fill(index) for index in range(len(rows))]
    return [
        values[name] if is_there else fill(index)
        for index, (values, is_there) in enumerate(zip(rows.values, said, strict=True))
    ]


def _is_scalar(column: Column[Any]) -> bool:
    return bool(getattr(column.default, "is_scalar", False))


class _Named(Mapping[str, Any]):
    """The values of a row by the names of their parameters, for defaults that ask."""

    def __init__(self, rows: SentRows, index: int) -> None:
        self._rows, self._index = rows, index

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def _values(self) -> dict[str, Any]:
        return {value_name(n): value for n, value in self._rows[self._index].items()}


def _text(rows: SentRows, names: Sequence[str], *, whole: bool) -> str | None:
    """Return rows as JSON, None where it has no word for a value of them."""
    if not names:
        return None
    if whole and rows.text is not None:
        return rows.text.decode()
    values = rows.values
    if not whole:
        values = [{name: it.get(name) for name in names} for it in values]
    try:
        return to_json(values, inf_nan_mode="strings").decode()
    except PydanticSerializationError:
        return None


def _is_plain(schema: type[BaseModel]) -> bool:
    """Say whether what is dumped of an instance is what it has, and no more."""
    said = schema.__pydantic_decorators__
    return (
        schema.model_dump is BaseModel.model_dump
        and not (said.field_serializers or said.model_serializers)
        and not schema.model_computed_fields
        and schema.model_config.get("extra") != "allow"
        and not schema.model_config.get("serialize_by_alias")
        and not schema.__pydantic_root_model__
    )


def _holds_scalars(info: Any) -> bool:
    """Say whether a field holds one value, which is dumped as it is."""
    said = (*info.metadata, *inside(info.annotation))
    return (
        not (info.exclude or info.exclude_if)
        and not any(isinstance(it, PlainSerializer | WrapSerializer) for it in said)
        and all(map(_is_scalar_type, parts(info.annotation)))
    )


def _is_scalar_type(part: Any) -> bool:
    if isinstance(part, type) and issubclass(part, enum.Enum):
        return True
    return part in _SCALARS or get_origin(part) is Literal


_SCALARS = frozenset(
    (
        bool,
        bytes,
        Decimal,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        float,
        int,
        str,
        UUID,
    )
)


def _spoken(type_: TypeEngine[Any]) -> frozenset[type[Any]]:
    """Return the types of values that JSON has a word for which a column reads."""
    for kinds, spoken in _SPOKEN:
        if isinstance(type_, kinds):
            return frozenset(spoken) if _is_exact(type_) else frozenset()
    return frozenset()


def _is_exact(type_: TypeEngine[Any]) -> bool:
    if isinstance(type_, Uuid):
        return type_.native_uuid and type_.as_uuid
    return not is_short(type_)


_SPOKEN: tuple[tuple[Any, tuple[type[Any], ...]], ...] = (
    ((Enum, DateTime, Interval, LargeBinary, Time), ()),
    (String, (str,)),
    (Integer, (int,)),
    (Boolean, (bool,)),
    (Float, (float, int)),
    (Numeric, (Decimal, float, int)),
    (Uuid, (UUID,)),
    (Date, (dt.date,)),
)
