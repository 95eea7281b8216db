"""NDJSON: one JSON object a line, read with every digit of its numbers."""

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
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

__all__ = ("NDJSON",)


class NDJSON:
    """Records of one JSON object a line. The first line's keys are the head."""

    head = ""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._parsed = self._records()
        self._first = next(self._parsed, None)
        self.names = self._names()

    def _names(self) -> tuple[str, ...]:
        if isinstance(self._first, Bad):
            raise Invalid(f"line {self._first.line} {self._first.faults[0].reason}")
        return () if self._first is None else tuple(self._first.values)

    def batches(self, size: int) -> Iterator[Batch]:
        """Give all records, so many at a time."""
        first = [] if self._first is None else [self._first]
        rows = chain(first, self._parsed)
        while (batch := Batch.of(limited(rows, size))).count:
            yield batch

    def _records(self) -> Iterator[Record | Bad]:
        for line in self._lines:
            self._lines.seen.clear()
            if line.isspace():
                continue
            yield self._record(self._lines.count, line)

    def _record(self, number: int, line: str) -> Record | Bad:
        found = None if line.isascii() else unstorable_in(line)
        if found is not None:
            return Bad(number, line, (Fault(None, why_unstorable(found)),))
        try:
            values = _parse_json(line)
        except (ValueError, ArithmeticError, RecursionError) as exc:
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
