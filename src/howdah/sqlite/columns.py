"""How values of each column type are kept in a file, exactly and in their order.

Up to fifteen digits a decimal is the only one that its double stands for, so it is
kept as a number, which every program understands; a column for more is text, with an
order of its own. A moment is text in UTC. Arrays and JSONB are JSON.
"""

# ruff: noqa: N802 - SQLAlchemy calls methods by the names of types

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from sqlalchemy import ARRAY, REAL, Column, DateTime, Dialect, Float, Numeric
from sqlalchemy.dialects.sqlite.base import SQLiteTypeCompiler
from sqlalchemy.types import TypeEngine

from howdah.limits import is_short, shortened
from howdah.sqlite.functions import DECIMAL

__all__ = ("COLUMN_TYPES", "ColumnTypes")

Process = Callable[[Any], Any]

_DIGITS = 15
_EXACT = Context(prec=2000, rounding=ROUND_HALF_UP)


class _Exact(Numeric[Any]):
    """Decimals, rounded to the places of their column as PostgreSQL does."""

    def bind_processor(self, dialect: Dialect) -> Process | None:  # noqa: ARG002 - SQLAlchemy's form
        scale = self.scale

        def process(value: Any) -> Any:
            return None if value is None else _stored(_rounded(_decimal(value), scale))

        return process

    def result_processor(self, dialect: Dialect, coltype: object) -> Process | None:  # noqa: ARG002 - SQLAlchemy's form
        scale, wanted = self.scale, Decimal if self.asdecimal else float

        def process(value: Any) -> Any:
            if value is None:
                return None
            return wanted(_rounded(_decimal(value), scale))

        return process


def _decimal(value: Any) -> Decimal:
    # The text of a double is the shortest that means it: the decimal that was stored.
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{number} is no number that SQLite can keep")
    return number


def _rounded(number: Decimal, scale: int | None) -> Decimal:
    if scale is None:
        return number
    return number.quantize(Decimal(1).scaleb(-scale), context=_EXACT)


def _stored(number: Decimal) -> int | float | str:
    if len(number.normalize(_EXACT).as_tuple().digits) > _DIGITS:
        return f"{number:f}"
    whole = number == number.to_integral_value()
    return int(number) if whole and abs(number) < _LARGEST else float(number)


_LARGEST = 2**63


class _Float(Float[Any]):
    """Floats; short ones are rounded as PostgreSQL does."""

    def bind_processor(self, dialect: Dialect) -> Process | None:  # noqa: ARG002 - SQLAlchemy's form
        return _shorten if is_short(self) else None


class _Short(_Float):
    """REAL, which is the name of a long float to SQLite."""

    def bind_processor(self, dialect: Dialect) -> Process | None:  # noqa: ARG002 - SQLAlchemy's form
        return _shorten


def _shorten(value: Any) -> float | None:
    return None if value is None else shortened(float(value))


class _Moment(DateTime):
    """Moments as text in UTC, of which none is written in two ways."""

    def bind_processor(self, dialect: Dialect) -> Process | None:  # noqa: ARG002 - SQLAlchemy's form
        aware = self.timezone

        def process(value: datetime | None) -> str | None:
            if value is None:
                return None
            if (value.tzinfo is not None) is not aware:
                raise ValueError(_AWARE if aware else _NAIVE)
            if aware:
                value = value.astimezone(UTC).replace(tzinfo=None)
            return value.isoformat(sep=" ")

        return process

    def result_processor(self, dialect: Dialect, coltype: object) -> Process | None:  # noqa: ARG002 - SQLAlchemy's form
        zone = UTC if self.timezone else None

        def process(value: str | None) -> datetime | None:
            if value is None:
                return None
            return datetime.fromisoformat(value).replace(tzinfo=zone)

        return process


_AWARE = "a moment without a time zone cannot be kept in a column that has them"
_NAIVE = "a moment with a time zone cannot be kept in a column without them"


class _List(ARRAY[Any]):
    """Arrays as JSON, each value as its own type keeps it."""

    def bind_processor(self, dialect: Dialect) -> Process | None:
        each = self.item_type.dialect_impl(dialect).bind_processor(dialect)

        def process(value: Any) -> str | None:
            return None if value is None else json.dumps(_through(each, value))

        return process

    def result_processor(self, dialect: Dialect, coltype: object) -> Process | None:
        each = self.item_type.dialect_impl(dialect).result_processor(dialect, coltype)

        def process(value: str | None) -> Any:
            return None if value is None else _through(each, json.loads(value))

        return process


def _through(process: Process | None, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_through(process, each) for each in value]
    return value if value is None or process is None else process(value)


COLUMN_TYPES: Mapping[type[TypeEngine[Any]], type[TypeEngine[Any]]] = {
    Numeric: _Exact,
    Float: _Float,
    REAL: _Short,
    DateTime: _Moment,
    ARRAY: _List,
}
"""What stands on SQLite in the place of each of SQLAlchemy's types."""


class ColumnTypes(SQLiteTypeCompiler):
    """The names of column types in CREATE TABLE, those of PostgreSQL included."""

    def visit_NUMERIC(self, type_: Any, **options: Any) -> str:
        """Name a decimal: text where it has more digits than a double keeps."""
        if isinstance(options.get("type_expression"), Column) and _is_wide(type_):
            return f"TEXT COLLATE {DECIMAL}"
        return super().visit_NUMERIC(type_, **options)

    def visit_DECIMAL(self, type_: Any, **options: Any) -> str:
        """Name a decimal by its other name."""
        return self.visit_NUMERIC(type_, **options)

    def visit_BIGINT(self, type_: Any, **options: Any) -> str:
        """Name a large number; only INTEGER gives keys by itself."""
        return self._key(options) or super().visit_BIGINT(type_, **options)

    def visit_SMALLINT(self, type_: Any, **options: Any) -> str:
        """Name a small number; only INTEGER gives keys by itself."""
        return self._key(options) or super().visit_SMALLINT(type_, **options)

    def visit_JSONB(self, type_: Any, **kw: Any) -> str:  # noqa: ARG002 - SQLAlchemy's form
        """Name JSON, of which SQLite has one kind."""
        return "JSON"

    def visit_ARRAY(self, type_: Any, **kw: Any) -> str:  # noqa: ARG002 - SQLAlchemy's form
        """Name an array, which is kept as JSON."""
        return "JSON"

    def _key(self, options: Mapping[str, Any]) -> str | None:
        column = options.get("type_expression")
        table = getattr(column, "table", None)
        serial = table is not None and table.autoincrement_column is column
        return "INTEGER" if serial else None


def _is_wide(type_: Numeric[Any]) -> bool:
    return type_.precision is None or type_.precision > _DIGITS
