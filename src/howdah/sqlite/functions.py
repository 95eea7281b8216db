"""What SQLite's own functions mean otherwise than PostgreSQL's: text, time, order.

They stand in the places of the built-in ones, so that every query on a connection
means the same, and a file is still read by any other program.
"""

import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

__all__ = ("DECIMAL", "install", "lowered")

DECIMAL = "howdah_decimal"
"""The name of the order of decimals that are kept as text."""


def install(connection: sqlite3.Connection) -> None:
    """Put the functions in the places of SQLite's."""
    connection.create_function("like", 2, _like, deterministic=True)
    connection.create_function("like", 3, _like, deterministic=True)
    connection.create_function("lower", 1, _on_text(lowered), deterministic=True)
    connection.create_function("upper", 1, _on_text(_raised), deterministic=True)
    connection.create_function("current_timestamp", 0, _now)
    connection.create_collation(DECIMAL, _compared)


def lowered(text: str) -> str:
    """Return a text in small letters, letter by letter as PostgreSQL does it."""
    return "".join(_SMALL.get(letter) or letter.lower() for letter in text)


def _raised(text: str) -> str:
    return "".join(
        letter if len(letter.upper()) > 1 else letter.upper() for letter in text
    )


# The only letter whose small form, in Python, is two.
_SMALL = {"İ": "i"}


def _on_text(change: Callable[[str], str]) -> Callable[[object], str | None]:
    def changed(value: object) -> str | None:
        return None if value is None else change(str(value))

    return changed


def _like(pattern: object, value: object, escape: str = "\\") -> int | None:
    if pattern is None or value is None:
        return None
    return int(_expression(str(pattern), escape).match(str(value)) is not None)


@lru_cache(maxsize=256)
def _expression(pattern: str, escape: str) -> re.Pattern[str]:
    """Return what matches what a LIKE pattern does."""
    parts = []
    letters = iter(pattern)
    for letter in letters:
        if letter == escape:
            parts.append(re.escape(next(letters, escape)))
        else:
            parts.append(_WILD.get(letter) or re.escape(letter))
    return re.compile("".join(parts) + r"\Z", re.DOTALL)


_WILD = {"%": ".*", "_": "."}


def _now() -> str:
    # As `columns` writes moments; SQLite's own knows no fractions of a second.
    return datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ")


def _compared(one: str, other: str) -> int:
    first, second = Decimal(one), Decimal(other)
    return (first > second) - (first < second)
