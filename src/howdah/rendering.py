"""Rows as the JSON of their read schema, for stores whose database does not write it.

The positions of pages as well: values into a cursor's text, and back. Knows neither
statements nor connections; a row is a mapping from columns to Python's values.
"""

import datetime as dt
import enum
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    Field,
    NaiveDatetime,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import to_json, to_jsonable_python
from sqlalchemy import Column

from howdah.errors import FieldError, InvalidQuery, Misconfigured
from howdah.models import Base64, python_type
from howdah.statements import Layout
from howdah.stored import as_stored

__all__ = ("Renderer", "json_list", "position_text", "read_position")

Values = Mapping[Column[Any], Any]


class Renderer:
    """Writes the rows of a layout as its read schema describes them."""

    def __init__(self, layout: Layout) -> None:
        schema = layout.schema
        if schema is None:
            raise Misconfigured(
                f"the layout of {layout.table.name!r} has no schema; this store writes "
                "its JSON with one"
            )
        self._schema: type[BaseModel] = schema
        self._columns = {
            name: layout.columns[info.serialization_alias or name]
            for name, info in schema.model_fields.items()
            if (info.serialization_alias or name) in layout.columns
        }
        self._moments = {
            info.serialization_alias or name: name
            for name, info in schema.model_fields.items()
            if name in self._columns and _is_moment(self._columns[name])
        }
        self._others = tuple(n for n in schema.model_fields if n not in self._columns)
        self._names = {
            info.serialization_alias or name: name
            for name, info in schema.model_fields.items()
        }

    def row(
        self,
        values: Values,
        fields: Iterable[str] | None = None,
        beside: Mapping[str, bytes] | None = None,
        *,
        source: object = None,
    ) -> bytes:
        """Return the JSON of a row, or of some fields; members of JSON come behind.

        What the schema shows beside columns are attributes of the source.
        """
        shown = {name: _plain(values[c]) for name, c in self._columns.items()}
        shown |= {n: getattr(source, n) for n in self._others if hasattr(source, n)}
        # A SQLModel's own `model_validate` knows no names beside aliases, and a
        # TypeAdapter would be built when an app starts.
        row = self._schema.__pydantic_validator__.validate_python(
            shown, by_name=True, by_alias=False, from_attributes=True
        )
        chosen = None if fields is None else {self._names[name] for name in fields}
        body = self._json(row, chosen)
        members = [body[1:-1]] if body != b"{}" else []
        for name, member in (beside or {}).items():
            members.append(to_json(name) + b":" + member)
        return b"{" + b",".join(members) + b"}"

    def _json(self, row: BaseModel, chosen: set[str] | None) -> bytes:
        if not self._moments:
            return row.model_dump_json(by_alias=True, include=chosen).encode()
        shown = row.model_dump(mode="json", by_alias=True, include=chosen)
        for name, field in self._moments.items():
            value = getattr(row, field)
            # A schema that writes its moments in a way of its own has its way.
            if name in shown and shown[name] == to_jsonable_python(value):
                shown[name] = as_stored(value)
        return to_json(shown, inf_nan_mode="null")

    def rows(self, rows: Iterable[Values]) -> bytes:
        """Return the JSON list of these rows."""
        return json_list(self.row(values) for values in rows)


def _is_moment(column: Column[Any]) -> bool:
    try:
        return python_type(column.type) in {dt.datetime, dt.time, dt.timedelta}
    except NotImplementedError:
        return False


def json_list(rows: Iterable[bytes]) -> bytes:
    """Return the JSON list of rows that are JSON."""
    return b"[" + b",".join(rows) + b"]"


def position_text(values: Sequence[Any]) -> str:
    """Return a position as the text that a cursor holds."""
    plain = (as_stored(_plain(value)) for value in values)
    texts = (
        to_json(
            each, inf_nan_mode="strings", bytes_mode="base64", fallback=str
        ).decode()
        for each in plain
    )
    # As PostgreSQL writes a list, so that cursors are the same from every store.
    return f"[{', '.join(texts)}]"


def read_position(
    columns: Sequence[Column[Any]], position: Sequence[Any], *, endless: bool = False
) -> tuple[Any, ...]:
    """Return a cursor's position as values of these columns, or raise InvalidQuery.

    With `endless` a moment may be PostgreSQL's "infinity", which Python has not.
    """
    if len(position) != len(columns):
        raise InvalidQuery(errors=(_NO_CURSOR,))
    try:
        return tuple(
            None if value is None else _reader(column, endless=endless)(value)
            for column, value in zip(columns, position, strict=True)
        )
    except ValidationError:
        raise InvalidQuery(errors=(_NO_CURSOR,)) from None


_NO_CURSOR = FieldError(
    field="cursor",
    code=InvalidQuery.code,
    message="is none of ours; take it from a Link",
)


def _reader(column: Column[Any], *, endless: bool) -> Callable[[Any], Any]:
    kind = _kind(column)
    if endless and python_type(column.type) in {dt.date, dt.datetime}:
        kind = kind | _ENDLESS
    return _adapter(cast("Hashable", kind)).validate_python


def _kind(column: Column[Any]) -> Any:
    """Return the type of a column's values in a cursor: whatever may stand there."""
    kind: Any = python_type(column.type)
    if kind is dt.datetime:
        kind = _MOMENT if getattr(column.type, "timezone", False) else NaiveDatetime
    return {bytes: Base64, Decimal: _NUMBER}.get(kind, kind)


_ENDLESS = Literal["infinity", "-infinity"]


def _in_utc(value: dt.datetime) -> dt.datetime:
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("is outside of the years 1 to 9999 in UTC") from None


_MOMENT = Annotated[AwareDatetime, AfterValidator(_in_utc)]
# NUMERIC has NaN and infinities, which no filter takes, but a row may end a page.
_NUMBER = Annotated[Decimal, Field(allow_inf_nan=True)]


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(cast("type[Any]", kind))
    return adapter


def _plain(value: Any) -> Any:
    """Return an enum's value, which a schema takes whether it names the enum or not."""
    return value.value if isinstance(value, enum.Enum) else value
