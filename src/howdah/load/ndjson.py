"""NDJSON: one JSON object a line, read with every digit of its numbers."""

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any

from howdah.errors import Invalid
from howdah.load.lines import Lines
from howdah.load.records import (
    Bad,
    Batch,
    Fault,
    Record,
    limited,
    storable,
    unstorable_in,
    why_unstorable,
)
from howdah.load.sheets import Sheet, growing

__all__ = ("NDJSON",)


class NDJSON:
    """Rows of one JSON object a line. The first line's keys are the head."""

    head = ""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.names = _names(next(_records(lines), None))
        lines.give_back()

    def batches(self, most: int) -> Iterator[Batch | Sheet]:
        """Give all rows, so many at a time: as a sheet where all have the same keys."""
        records = _records(self._lines)
        for size in growing(most):
            found = self._sheet(size) or Batch.of(limited(records, size))
            if not found.count:
                return
            yield found

    def _sheet(self, size: int) -> Sheet | None:
        """Take the next rows, where a look at their lines shows them."""
        text = self._lines.whole(size) if self.names else ""
        columns = _columns(text, self.names) if text else None
        if columns is None:
            return None
        first = self._lines.count + 1
        self._lines.skip(text)
        return Sheet(columns, first=first, text=text, read=_records)


def _names(first: Record | Bad | None) -> tuple[str, ...]:
    if isinstance(first, Bad):
        raise Invalid(f"line {first.line} {first.faults[0].reason}")
    return () if first is None else tuple(first.values)


def _columns(text: str, names: tuple[str, ...]) -> dict[str, Sequence[Any]] | None:
    """Return the values of each key at one stroke, or None where a line is odd."""
    if "\r" in text or _ODD_ESCAPE.search(text) or not storable(text):
        return None
    try:
        # A value of its own between the lines: no object has one there.
        found = _parse_json(f"[{text.removesuffix(_LF).replace(_LF, ',0,')}]")
    except _NO_JSON:
        return None
    rows, width = found[::2], len(names)
    between = found[1::2]
    if between.count(0) != len(between) or {dict} != set(map(type, rows)):
        return None
    if {width} != set(map(len, rows)):
        return None
    try:
        return {name: list(map(itemgetter(name), rows)) for name in names}
    except KeyError:
        return None


_LF = "\n"
# What may smuggle a character into a text that no text may have.
_ODD_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_NO_JSON = (ValueError, ArithmeticError, RecursionError)


def _records(lines: Lines) -> Iterator[Record | Bad]:
    for line in lines:
        if line.isspace():
            lines.seen.clear()
            continue
        yield _record(lines.count, line)
        lines.seen.clear()


def _record(number: int, line: str) -> Record | Bad:
    found = None if line.isascii() else unstorable_in(line)
    if found is not None:
        return Bad(number, line, (Fault(None, why_unstorable(found)),))
    try:
        values = _parse_json(line)
    except _NO_JSON as exc:
        return Bad(number, line, (Fault(None, _why_no_json(exc)),))
    if not isinstance(values, dict):
        return Bad(number, line, (Fault(None, "is no JSON object"),))
    faults = tuple(_escaped(values)) if "\\u" in line else ()
    return Bad(number, line, faults) if faults else Record(number, line, values)


def _why_no_json(exc: Exception) -> str:
    if isinstance(exc, json.JSONDecodeError):
        return f"is no JSON: {exc.msg} at character {exc.pos + 1}"
    return f"is no JSON: {exc}" if isinstance(exc, ValueError) else "is no JSON"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} comes twice")
    return values


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


# Decimal keeps every digit of a number; a float would round the long ones.
_parse_json = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Decimal, parse_constant=_constant
).decode


def _escaped(values: dict[str, Any]) -> Iterator[Fault]:
    """Find what only an escape can smuggle into a text."""
    for name, value in values.items():
        found = unstorable_in("".join(_texts({name: value})))
        if found is not None:
            shown = name if storable(name) else None
            half = "holds half of a character (a lone surrogate)"
            yield Fault(shown, half if found != "\x00" else why_unstorable("\x00"))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
