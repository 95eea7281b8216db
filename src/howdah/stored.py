"""Values as PostgreSQL writes them into JSON, for all that Python writes itself.

Pydantic writes `...:00.500000Z` where PostgreSQL writes `...:00.5+00:00`, and a client
of both should see one of them. Knows no column and no schema.
"""

import datetime as dt
import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import PlainSerializer, WithJsonSchema

__all__ = ("AS_STORED", "Duration", "Exact", "Moment", "as_stored")


def as_stored(value: Any) -> Any:
    """Return a moment, a time of day or a duration as text; others as they are."""
    if isinstance(value, dt.timedelta):
        return _duration(value)
    if not isinstance(value, dt.datetime | dt.time):
        return value
    text = _in_utc(value).isoformat()
    # No zeros behind the last digit of a second that is not whole.
    return _ZEROS.sub(r"\1", text) if value.microsecond else text


def _in_utc(value: dt.datetime | dt.time) -> dt.datetime | dt.time:
    if not isinstance(value, dt.datetime) or value.tzinfo is None:
        return value
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        # At an end of time, where UTC has no such day.
        return value


_ZEROS = re.compile(r"(\.\d*?)0+(?=[+-]|$)")


def _duration(value: dt.timedelta) -> str:
    """Return days and seconds, as `howdah.statements` lets PostgreSQL write them."""
    sign, length = ("-", -value) if value < dt.timedelta() else ("", value)
    fraction = f".{length.microseconds:06}".rstrip("0").rstrip(".")
    return f"{sign}P{length.days}DT{length.seconds}{fraction}S"


def _digits(value: Decimal) -> str:
    """Return all digits of a number, and no exponent."""
    return format(value, "f")


AS_STORED = PlainSerializer(as_stored, return_type=str, when_used="json")
"""For annotations, beside `datetime`, `time` or `timedelta`."""

Moment = Annotated[
    dt.datetime,
    AS_STORED,
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A datetime that is in JSON what PostgreSQL writes: `2026-01-01T12:00:00+00:00`."""

Duration = Annotated[
    dt.timedelta,
    AS_STORED,
    WithJsonSchema({"type": "string", "format": "duration"}),
]
"""A timedelta in days and seconds: `P1DT90S`."""

Exact = Annotated[
    Decimal,
    PlainSerializer(_digits, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}),
]
"""A number of any size, a text in JSON."""
