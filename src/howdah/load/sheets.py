"""Sheets: some rows of a file as columns, which can be read as records again.

Knows no format: who makes a sheet says how its text is read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from howdah.load.lines import Lines
from howdah.load.records import Bad, Batch, Record

__all__ = ("Read", "Sheet", "growing")

Read = Callable[[Lines], Iterator[Record | Bad]]

_FIRST = 500


class Sheet:
    """Some rows that can be read, each with a value for every name of the head."""

    def __init__(
        self,
        columns: Mapping[str, Sequence[Any]],
        *,
        first: int,
        text: str,
        read: Read,
        lines: str | None = None,
    ) -> None:
        self.count = len(next(iter(columns.values())))
        self._columns = columns
        self._first = first
        self._text = text
        self._read = read
        self._lines = lines

    def columns(self) -> tuple[Mapping[str, Sequence[Any]], str | None]:
        """Return the columns by their names, and the lines, if each is a row of CSV.

        That is once: they are forgotten here.
        """
        found = self._columns, self._lines
        self._columns, self._lines = {}, None
        return found

    def batch(self) -> Batch:
        """Read the same rows as records."""
        text = iter([self._text])
        lines = Lines(partial(next, text, ""), taken=self._first - 1)
        return Batch.of(self._read(lines))


def growing(most: int) -> Iterator[int]:
    """Give ever larger sizes: PostgreSQL is not to wait long for the first rows."""
    size = min(most, _FIRST)
    while True:
        yield size
        size = min(most, size * 2)
