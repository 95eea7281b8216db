"""An array as the text that PostgreSQL reads as one.

https://www.postgresql.org/docs/18/arrays.html#ARRAYS-IO
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

__all__ = ("array_text",)


def array_text(values: Sequence[Any] | None) -> str | None:
    """Return the text of an array; its elements are what the driver would take."""
    if values is None:
        return None
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, (list, tuple)):
        return array_text(value) or ""
    text = _TEXTS.get(type(value), str)(value)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _interval(value: timedelta) -> str:
    days, seconds, parts = value.days, value.seconds, value.microseconds
    return f"{days:+} days {seconds:+} seconds {parts:+} us"


def _moment(value: date | time) -> str:
    return value.isoformat()


_TEXTS: Mapping[type[Any], Callable[[Any], str]] = {
    bytes: lambda value: f"\\x{value.hex()}",
    date: _moment,
    datetime: _moment,
    time: _moment,
    timedelta: _interval,
}
