"""Which columns the server fills by itself, and which defaults people may lean on."""

import re
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Column, Date, DateTime, Time
from sqlalchemy.sql.elements import ClauseElement

from howdah.schemas.columns import filter_type, plain_type

__all__ = ("has_default", "is_made", "is_server_owned", "literal_default")


def is_server_owned(column: Column[Any]) -> bool:
    """Say whether people never write the column: the server fills it by itself.

    What is made, and keys that have a default: a schema that is given may take such a
    key from people, a derived one does not.
    """
    return is_made(column) or (column.primary_key and has_default(column))


def is_made(column: Column[Any]) -> bool:
    """Say whether the column's values are made and never given.

    Numbers of a sequence, generated columns, what changes with each update, and
    moments that the clock fills in.
    """
    return (
        column.computed is not None
        or column.identity is not None
        or column is column.table.autoincrement_column
        or column.onupdate is not None
        or column.server_onupdate is not None
        or _is_clock(column)
    )


def has_default(column: Column[Any]) -> bool:
    """Say whether a row may leave the column out, and still have a value there."""
    return column.default is not None or column.server_default is not None


def literal_default(column: Column[Any]) -> Any:
    """Return the value that a row without one gets, or None where it is computed."""
    default: Any = column.default
    if default is not None:
        return default.arg if default.is_scalar else None
    return _literal(column)


def _literal(column: Column[Any]) -> Any:
    """Return a default of the server that is a plain value, like `'new'` or `true`."""
    text = _default_text(column)
    quoted = re.fullmatch(r"'((?:[^']|'')*)'(?:::[\w ]+)?", text)
    if quoted is not None:
        text = quoted[1].replace("''", "'")
    elif not re.fullmatch(r"-?\d+(\.\d+)?|true|false", text, re.IGNORECASE):
        return None
    try:
        return TypeAdapter(filter_type(column)).validate_strings(text)
    except ValidationError:
        return None


def _default_text(column: Column[Any]) -> str:
    """Return the SQL of the server's default."""
    arg: Any = getattr(column.server_default, "arg", None)
    if arg is None:
        return ""
    if isinstance(arg, str):
        # SQLAlchemy writes a plain text into the table as a quoted one.
        return "'{}'".format(arg.replace("'", "''"))
    return str(arg) if isinstance(arg, ClauseElement) else ""


_CLOCKS = re.compile(
    r"(now|current_timestamp|current_date|current_time|localtimestamp|localtime|"
    r"transaction_timestamp|statement_timestamp|clock_timestamp)\b",
    re.IGNORECASE,
)


def _is_clock(column: Column[Any]) -> bool:
    """Say whether the clock fills the column: `created_at`, and not `status`."""
    if not isinstance(plain_type(column.type), Date | DateTime | Time):
        return False
    default: Any = column.default
    called: Callable[..., Any] | None = getattr(default, "arg", None)
    if default is not None and (default.is_callable or not default.is_scalar):
        return callable(called) or bool(_CLOCKS.match(str(called)))
    return bool(_CLOCKS.match(_default_text(column)))
