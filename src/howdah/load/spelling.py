"""Values as PostgreSQL reads them in a COPY of text, which costs less than records do.

Only what text says as exactly as the driver's binary form is spelled: for each type of
the database the very types of Python of which that is known. All else is the driver's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import Table

__all__ = (
    "NULL",
    "Spell",
    "Stand",
    "is_text",
    "rows_of",
    "speller_of",
    "stander_of",
    "types_of",
)

Spell = Callable[[Sequence[Any]], Sequence[str] | None]
Stand = Callable[[Sequence[str]], bool]

NULL = "\\N"


async def types_of(connection: asyncpg.Connection, table: Table) -> dict[str, str]:
    """Return the type that each column has in the database, by its name there."""
    rows = await connection.fetch(_TYPES, table.schema, table.name)
    return {row[0]: row[1] for row in rows}


def speller_of(kind: str | None) -> Spell | None:
    """Return what spells values of the type; it gives None where it cannot."""
    spells = _SPELLS.get(kind or "")
    if spells is None:
        return None

    def spell(values: Sequence[Any]) -> Sequence[str] | None:
        types = set(map(type, values))
        if None.__class__ not in types:
            return _spelled(values, types, spells)
        given = [value for value in values if value is not None]
        texts = _spelled(given, types - {None.__class__}, spells)
        return None if texts is None else list(_with_nulls(values, iter(texts)))

    return spell


def is_text(kind: str | None) -> bool:
    """Say whether a column of the type takes any text, as far as text goes."""
    return _SPELLS.get(kind or "") is _TEXT


def stander_of(kind: str | None, rule: str | None) -> Stand | None:
    """Return what tells whether texts may stand as they are: those of plain numbers.

    Both the `rule` of the schema and PostgreSQL read them, and get the same numbers.
    """
    if (kind, rule) not in _STANDING:
        return None
    longest, odd = _STANDING[kind, rule]

    def stands(texts: Sequence[str]) -> bool:
        whole = "\n".join(texts)
        if any(character in whole for character in _ODD_IN_NUMBERS + odd):
            return False
        one_line_each = whole.count("\n") == len(texts) - 1
        return one_line_each and max(map(len, texts)) <= longest

    return stands


def rows_of(columns: Sequence[Sequence[str]]) -> bytes:
    """Return rows for COPY, made of columns of texts."""
    rows = "\n".join(map("\t".join, zip(*columns, strict=True)))
    return f"{rows}\n".encode()


def _spelled(
    values: Sequence[Any], types: set[type], spells: Mapping[type, Spell]
) -> Sequence[str] | None:
    if not types:
        return values
    spell = spells.get(types.pop())
    return None if spell is None or types else spell(values)


def _with_nulls(values: Sequence[Any], texts: Iterator[str]) -> Iterator[str]:
    for value in values:
        yield NULL if value is None else next(texts)


def _escaped(values: Sequence[str]) -> Sequence[str]:
    whole = "".join(values)
    return (
        [value.translate(_ESCAPES) for value in values]
        if any(character in whole for character in _ESCAPED)
        else values
    )


def _said(values: Sequence[Any]) -> Sequence[str] | None:
    texts = list(map(str, values))
    whole = "\n".join(texts)
    return None if any(odd in whole for odd in _ODD) else texts


def _aware(values: Sequence[datetime]) -> Sequence[str] | None:
    return None if any(each.tzinfo is None for each in values) else _said(values)


def _naive(values: Sequence[datetime]) -> Sequence[str] | None:
    return _said(values) if all(each.tzinfo is None for each in values) else None


_ESCAPED = "\\\n\r\t"
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"})
# NaN and the infinities; and the first and the last day, which the driver takes for
# those of a calendar.
_ODD = ("n", "N", "0001-01-0", "9999-12-3")

_TEXT: Mapping[type, Spell] = {str: _escaped}
_INTEGER: Mapping[type, Spell] = {int: _said}
_NUMERIC: Mapping[type, Spell] = {Decimal: _said, float: _said, int: _said}
_SPELLS: Mapping[str, Mapping[type, Spell]] = {
    **dict.fromkeys(("text", "varchar", "bpchar", "citext"), _TEXT),
    **dict.fromkeys(("json", "jsonb", "enum"), _TEXT),
    **dict.fromkeys(("int2", "int4", "int8"), _INTEGER),
    "numeric": _NUMERIC,
    "numeric(,)": _NUMERIC,
    # A text is rounded once to a real, and the driver's double twice: they may differ.
    "float8": {float: _said, int: _said},
    "bool": {bool: _said},
    "uuid": {UUID: _said},
    "date": {date: _said},
    "timestamp": {datetime: _naive},
    "timestamptz": {datetime: _aware},
}

_ODD_IN_NUMBERS = "nN\\\r\t"
# How long a number may be as a text, and what may not be in it, by the type of the
# column and the rule of the schema. A float says the first 15 digits of its text again,
# but not the zeros at their end, which a column without a scale would show.
_LONG = 1000
_STANDING: Mapping[tuple[str | None, str | None], tuple[int, str]] = {
    ("int2", "int"): (_LONG, "."),
    ("int4", "int"): (_LONG, "."),
    ("int8", "int"): (_LONG, "."),
    ("numeric", "decimal"): (_LONG, ""),
    ("numeric(,)", "decimal"): (_LONG, ""),
    ("numeric(,)", "float"): (15, ""),
    ("float8", "float"): (_LONG, ""),
}

_TYPES = """
SELECT attname, CASE
    WHEN typtype = 'e' THEN 'enum'
    WHEN typname = 'numeric' AND atttypmod >= 0 THEN 'numeric(,)'
    ELSE typname
END
FROM pg_attribute
JOIN pg_type ON pg_type.oid = atttypid
WHERE attrelid = to_regclass(concat_ws('.', quote_ident($1), quote_ident($2)))
    AND attnum > 0 AND NOT attisdropped
"""
