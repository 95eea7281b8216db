"""Comma-separated values: sheets of plain rows, and records where a row is not plain.

A quoted field may hold line breaks. A sheet costs a fifth of what records cost, so that
rows become records only where each has to be looked at.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from howdah.errors import Invalid, Misconfigured
from howdah.load.columns import Columns, columns_of
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

__all__ = ("Separated",)

_FEW = 250


class Separated:
    """A text of separated values: the names in its head, and the rows below."""

    def __init__(self, lines: Lines, *, delimiter: str, null: str) -> None:
        self._lines = lines
        self._form = _Form((), delimiter, null)
        self.names = self._names()
        self.head = "".join(lines.seen)
        self._form = _Form(self.names, delimiter, null)

    def batches(self, most: int) -> Iterator[Batch | Sheet]:
        """Give all rows, so many at a time: as a sheet where all of them are plain."""
        records = self._form.records(self._lines)
        for size in growing(most):
            try:
                found = self._sheet(size)
            except csv.Error:
                found = Batch.of(limited(records, size))
            if found is None:
                return
            if found.count:
                yield found

    def _names(self) -> tuple[str, ...]:
        parsed = self._form.parsed(iter(self._lines))
        try:
            fields: list[str] = next(filter(None, parsed), [])
        except csv.Error as exc:
            raise Invalid(f"line 1 is no line of CSV: {exc}") from None
        names = tuple(name.strip() for name in fields)
        if not names:
            raise Invalid("the file is empty; its first line must name the columns")
        _check_names(names, "".join(self._lines.seen), self._form.delimiter)
        return names

    def _sheet(self, size: int) -> Batch | Sheet | None:
        """Take the next rows; None where there are no more."""
        first, text = self._lines.count + 1, self._lines.whole(size)
        columns = self._form.columns(text) if text else None
        if columns is None:
            return self._looked_at(size)
        self._lines.skip(text)
        return self._found(first, text, columns)

    def _looked_at(self, size: int) -> Batch | Sheet | None:
        """Take the next rows, where a look at their lines does not show them."""
        parsed = self._form.parsed(self._lines.ahead())
        fields, even = self._fields(islice(parsed, size))
        first = self._lines.count + 1
        text = self._lines.take(parsed.line_num)
        if not text:
            return None
        width = len(self.names)
        columns = Columns([fields[at::width] for at in range(width)], None)
        return self._found(first, text, columns, even=even)

    def _found(
        self, first: int, text: str, columns: Columns, *, even: bool = True
    ) -> Batch | Sheet:
        sheet = Sheet(
            dict(zip(self.names, columns.fields, strict=True)),
            first=first,
            text=text,
            read=self._form.records,
            lines=columns.lines,
        )
        return sheet if even and storable(text) else sheet.batch()

    def _fields(self, rows: Iterator[list[str]]) -> tuple[list[str], bool]:
        """Return the fields of all rows, and whether each row had as many as names."""
        fields, even = list[str](), True
        width = len(self.names)
        # Thousands of rows at once would have the garbage collector look at them.
        while some := list(islice(rows, _FEW)):
            # A blank line is a row without fields, and no record.
            even = even and {0, width}.issuperset(map(len, some))
            fields.extend(chain.from_iterable(some))
        return fields, even


@dataclass(frozen=True, slots=True)
class _Form:
    """How rows are written: the names of their fields, what parts them, no value."""

    names: tuple[str, ...]
    delimiter: str
    null: str

    def columns(self, text: str) -> Columns | None:
        """Return the columns of a text where its lines show them."""
        return columns_of(text, width=len(self.names), delimiter=self.delimiter)

    def parsed(self, lines: Iterator[str]) -> Any:
        """Return a reader of rows from lines."""
        try:
            return csv.reader(lines, delimiter=self.delimiter, strict=True)
        except (TypeError, ValueError):
            raise Misconfigured(
                f"the delimiter {self.delimiter!r} is not one character; "
                "try , or ; or \\t"
            ) from None

    def records(self, lines: Lines) -> Iterator[Record | Bad]:
        """Return a record for each row, good or bad."""
        names, null = self.names, self.null
        width, parsed = len(names), self.parsed(iter(lines))
        while True:
            lines.seen.clear()
            start = lines.count + 1
            try:
                fields = next(parsed, None)
            except csv.Error as exc:
                yield _unparsed(start, "".join(lines.seen), exc)
                continue
            if fields is None:
                return
            if not fields:
                continue
            text = lines.seen[0] if len(lines.seen) == 1 else "".join(lines.seen)
            if len(fields) != width:
                yield Bad(start, text, (_ragged(len(fields), width),))
            elif not storable(text):
                yield Bad(start, text, tuple(_unstorable(zip(names, fields))))  # noqa: B905 - they are equally long
            elif null in fields:
                pairs = zip(names, fields)  # noqa: B905 - they are equally long
                yield Record(start, text, {k: v for k, v in pairs if v != null})
            else:
                yield Record(start, text, dict(zip(names, fields)))  # noqa: B905 - likewise


def _unparsed(start: int, text: str, exc: csv.Error) -> Bad:
    if text.count('"') % 2 == 0:
        return Bad(start, text, (Fault(None, f"is no line of CSV: {exc}"),))
    # Where the field ends, and with it where the next row begins, is anyone's
    # guess; a wrong guess would load the inside of a text as rows.
    raise Invalid(
        f"line {start}: a quoted field starts here that does not end, or is longer "
        f"than {csv.field_size_limit():,} characters; close the quote"
    )


def _check_names(names: tuple[str, ...], head: str, delimiter: str) -> None:
    if not storable(head):
        raise Invalid("line 1 holds bytes that are no text; give the file's --encoding")
    twice = sorted({name for name in names if names.count(name) > 1 and name})
    if twice:
        raise Invalid(f"line 1 names the column {twice[0]!r} twice; rename one of them")
    if "" in names:
        raise Invalid(f"line 1 gives column {names.index('') + 1} no name; name it")
    others = [other for other in ",;\t|" if other != delimiter and other in names[0]]
    if len(names) == 1 and others:
        raise Invalid(
            f"line 1 names one column, {names[0]!r}; "
            f"if {others[0]!r} separates the columns, say --delimiter {others[0]!r}"
        )


def _ragged(found: int, wanted: int) -> Fault:
    return Fault(None, f"has {found} fields where line 1 names {wanted} columns")


def _unstorable(pairs: Any) -> Iterator[Fault]:
    for name, value in pairs:
        found = unstorable_in(value)
        if found is not None:
            yield Fault(name, why_unstorable(found))
