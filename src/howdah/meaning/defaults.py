"""What a column has where nothing is given: by Python, and simple things by SQL."""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Column, Computed, Date, Identity, Sequence, TextClause
from sqlalchemy.dialects.postgresql import TSVECTOR

from howdah.errors import Misconfigured
from howdah.meaning.expressions import Moment, reader
from howdah.models import python_type

__all__ = ("Default", "creation_default", "numbers", "update_default")

Default = Callable[[Mapping[str, Any], Moment], Any]
"""Gives a value from the others of its row, and the moment of the change."""


def creation_default(column: Column[Any]) -> Default | None:
    """Return what fills the column of a new row, or None where it stays empty."""
    if column.default is not None and not isinstance(column.default, Sequence):
        return _of_python(column, column.default)
    given: Any = column.server_default
    if given is None or isinstance(given, Identity) or numbers(column):
        return None
    if isinstance(column.type, TSVECTOR):
        # Words that PostgreSQL keeps for its searches; there are none of those here.
        return None
    if isinstance(given, Computed):
        return _of_sql(column, given.sqltext)
    if not hasattr(given, "arg"):
        return None
    return _of_sql(column, given.arg)


def update_default(column: Column[Any]) -> Default | None:
    """Return what fills the column of a row that is changed, or None."""
    given = column.onupdate
    return None if given is None else _of_python(column, given)


def numbers(column: Column[Any]) -> bool:
    """Say whether the database numbers the column by itself."""
    automatic = column.table.autoincrement_column is column
    return automatic or column.identity is not None


def _of_python(column: Column[Any], given: Any) -> Default:
    if given.is_callable:
        return lambda values, _now: given.arg(_Context(values))
    if given.is_scalar:
        return lambda _values, _now: given.arg
    return _of_sql(column, given.arg)


def _of_sql(column: Column[Any], given: Any) -> Default:
    if isinstance(given, str):
        return _constant(column, given)
    if isinstance(given, TextClause):
        return _of_text(column, given.text)
    evaluate = reader(given)
    return lambda _values, now: _fitted(column, evaluate({}, now))


def _of_text(column: Column[Any], text: str) -> Default:
    plain = re.sub(r"::[\w\s\[\]()]+$", "", text.strip())
    if plain.lower() in _MOMENTS:
        return lambda _values, now: _fitted(column, now)
    if plain.lower() == "null":
        return lambda _values, _now: None
    quoted = re.fullmatch(r"'((?:[^']|'')*)'", plain)
    if quoted:
        return _constant(column, quoted[1].replace("''", "'"))
    if re.fullmatch(r"-?[\d.]+|true|false", plain, re.IGNORECASE):
        return _constant(column, plain)
    raise Misconfigured(
        f"column {column.name!r} of {column.table.name!r} has the default {text}, "
        "which nobody can evaluate outside of a database; known are constants and now()"
    )


_MOMENTS = frozenset({"now()", "current_timestamp", "transaction_timestamp()"})


def _fitted(column: Column[Any], value: Any) -> Any:
    """Return a moment as PostgreSQL assigns it to a column without a zone, in UTC."""
    if not isinstance(value, dt.datetime) or value.tzinfo is None:
        return value
    in_utc = value.astimezone(dt.UTC)
    if isinstance(column.type, Date):
        return in_utc.date()
    has_zone = getattr(column.type, "timezone", True)
    return value if has_zone else in_utc.replace(tzinfo=None)


def _constant(column: Column[Any], text: str) -> Default:
    kind = python_type(column.type)
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    read = adapter.validate_json if kind in {dict, list} else adapter.validate_strings
    value = read(text)
    return lambda _values, _now: value


class _Context:
    """What a default that asks for the other values of its row gets from SQLAlchemy."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.current_parameters = values

    def get_current_parameters(self) -> Mapping[str, Any]:
        """Return the values by the names of their fields."""
        return self.current_parameters
