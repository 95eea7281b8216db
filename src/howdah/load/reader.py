"""A file of rows as records: the line each starts in, its own text, its values.

CSV and NDJSON, in batches, in constant memory. A record that cannot be read is handed
on as a bad one; only what makes all that follows doubtful ends the reading. Knows no
model: names are those of the file.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

from howdah.errors import Invalid, Misconfigured, NotFound
from howdah.load.terms import Source

__all__ = ("Bad", "Batch", "Fault", "Reader", "Record", "open_reader")

# A longer line is no line of a table; without a limit one such file fills the memory.
LINE_LIMIT = 16 * 1024 * 1024
# A batch ends at so many characters, however few its records are.
BATCH_TEXT = 4 * 1024 * 1024

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_DECODED_BYTES = re.compile("[\udc80-\udcff]")


class Record(NamedTuple):
    """A record of the file: its first line's number, its text, its values by name."""

    line: int
    text: str
    values: dict[str, Any]


class Fault(NamedTuple):
    """What is wrong with a record, and in which column if that is known."""

    column: str | None
    reason: str


class Bad(NamedTuple):
    """A record that was refused, and why."""

    line: int
    text: str
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class Batch:
    """Some records in the order of the file, and the bad ones that lay between."""

    records: list[Record] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Reader:
    """An open file: the names in its head, and the batches that follow."""

    names: tuple[str, ...]
    head: str
    batches: Callable[[int], Iterator[Batch]]
    position: Callable[[], int]
    total: int | None
    sparse: bool


@contextmanager
def open_reader(source: Source) -> Iterator[Reader]:
    """Open the source and read its head; raise Invalid where it has none."""
    with _opened(source.file) as (raw, total):
        counted = _Counted(raw)
        text = _decoded(counted, source.encoding)
        rows = _CSV(text, source) if source.format == "csv" else _NDJSON(text)
        yield Reader(
            names=rows.names,
            head=rows.head,
            batches=partial(_batches, rows),
            position=lambda: counted.position,
            total=total,
            sparse=source.format == "ndjson",
        )


@contextmanager
def _opened(file: Path | BinaryIO) -> Iterator[tuple[Any, int | None]]:
    if not isinstance(file, Path):
        yield file, None
        return
    try:
        stream = file.open("rb", buffering=0)
    except FileNotFoundError:
        raise NotFound(f"there is no file {file}") from None
    except OSError as exc:
        raise Invalid(f"{file} cannot be read: {exc.strerror}") from None
    with stream:
        yield stream, file.stat().st_size or None


class _Counted(io.RawIOBase):
    """A stream of bytes that knows how many were read. Closing it closes nothing."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        read = self._raw.readinto(buffer) or 0
        self.position += read
        return int(read)


def _decoded(raw: io.RawIOBase, encoding: str) -> TextIO:
    # "surrogateescape" lets a bad byte through as a lone surrogate: the record that
    # holds it is refused by line, and its bytes are written back as they were.
    name = "utf-8-sig" if _is_utf8(encoding) else encoding
    buffer = io.BufferedReader(raw, 256 * 1024)
    try:
        return io.TextIOWrapper(buffer, name, "surrogateescape", newline="")
    except LookupError:
        raise Misconfigured(
            f"there is no encoding {encoding!r}; try utf-8, latin-1 or cp1252"
        ) from None


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"}


class _Lines:
    """The lines of a text, counted, and those of the record being read remembered."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self.count = 0
        self.seen: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._limited():
            self.count += 1
            self.seen.append(line)
            if len(line) >= LINE_LIMIT:
                raise Invalid(
                    f"line {self.count} is longer than {LINE_LIMIT:,} characters; "
                    "is this a file of lines?"
                )
            yield line

    def _limited(self) -> Iterator[str]:
        try:
            yield from iter(partial(self._text.readline, LINE_LIMIT), "")
        except UnicodeError as exc:
            raise Invalid(
                f"line {self.count + 1} or one soon after it is not "
                f"{self._text.encoding}: give the file's --encoding"
            ) from exc


class _CSV:
    """Records of comma-separated values. A quoted field may hold line breaks."""

    def __init__(self, text: TextIO, source: Source) -> None:
        self._lines = _Lines(text)
        self._null = source.null
        self._parsed = self._parser(source.delimiter)
        self.names = self._names(source.delimiter)
        self.head = "".join(self._lines.seen)

    def _parser(self, delimiter: str) -> Iterator[list[str]]:
        try:
            return csv.reader(iter(self._lines), delimiter=delimiter, strict=True)
        except (TypeError, ValueError):
            raise Misconfigured(
                f"the delimiter {delimiter!r} is not one character; try , or ; or \\t"
            ) from None

    def _names(self, delimiter: str) -> tuple[str, ...]:
        try:
            fields = next((fields for fields in self._parsed if fields), [])
        except csv.Error as exc:
            raise Invalid(f"line 1 is no line of CSV: {exc}") from None
        names = tuple(name.strip() for name in fields)
        if not names:
            raise Invalid("the file is empty; its first line must name the columns")
        _check_names(names, "".join(self._lines.seen), delimiter)
        return names

    def __iter__(self) -> Iterator[Record | Bad]:
        lines, names, null = self._lines, self.names, self._null
        width = len(names)
        while True:
            lines.seen.clear()
            start = lines.count + 1
            try:
                fields = next(self._parsed, None)
            except csv.Error as exc:
                yield self._unparsed(start, exc)
                continue
            if fields is None:
                return
            if not fields:
                continue
            text = lines.seen[0] if len(lines.seen) == 1 else "".join(lines.seen)
            if len(fields) != width:
                yield Bad(start, text, (_ragged(len(fields), width),))
            elif "\x00" in text or not (text.isascii() or _storable(text)):
                yield Bad(start, text, tuple(_unstorable(zip(names, fields))))  # noqa: B905 - they are equally long
            elif null in fields:
                pairs = zip(names, fields)  # noqa: B905 - they are equally long
                yield Record(start, text, {k: v for k, v in pairs if v != null})
            else:
                yield Record(start, text, dict(zip(names, fields)))  # noqa: B905 - likewise

    def _unparsed(self, start: int, exc: csv.Error) -> Bad:
        text = "".join(self._lines.seen)
        if text.count('"') % 2 == 0:
            return Bad(start, text, (Fault(None, f"is no line of CSV: {exc}"),))
        # Where the field ends, and with it where the next row begins, is anyone's
        # guess; a wrong guess would load the inside of a text as rows.
        raise Invalid(
            f"line {start}: a quoted field starts here that does not end, or is longer "
            f"than {csv.field_size_limit():,} characters; close the quote"
        )


def _check_names(names: tuple[str, ...], head: str, delimiter: str) -> None:
    if _UNSTORABLE.search(head):
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


def _storable(text: str) -> bool:
    return _UNSTORABLE.search(text) is None


def _unstorable(pairs: Any) -> Iterator[Fault]:
    for name, value in pairs:
        found = _UNSTORABLE.search(value)
        if found is not None:
            yield Fault(name, _why_unstorable(found[0]))


def _why_unstorable(character: str) -> str:
    if character == "\x00":
        return "holds a NUL byte, which PostgreSQL cannot store"
    if _DECODED_BYTES.match(character):
        return "is not valid in the file's encoding; save it as UTF-8 or say --encoding"
    return "holds half of a character (a lone surrogate)"


class _NDJSON:
    """Records of one JSON object a line. The first line's keys are the head."""

    head = ""

    def __init__(self, text: TextIO) -> None:
        self._lines = _Lines(text)
        self._parsed = self._records()
        self._first = next(self._parsed, None)
        self.names = self._names()

    def _names(self) -> tuple[str, ...]:
        if isinstance(self._first, Bad):
            raise Invalid(f"line {self._first.line} {self._first.faults[0].reason}")
        return () if self._first is None else tuple(self._first.values)

    def __iter__(self) -> Iterator[Record | Bad]:
        if self._first is not None:
            yield self._first
        yield from self._parsed

    def _records(self) -> Iterator[Record | Bad]:
        for line in self._lines:
            self._lines.seen.clear()
            if line.isspace():
                continue
            yield self._record(self._lines.count, line)

    def _record(self, number: int, line: str) -> Record | Bad:
        if not (line.isascii() or _storable(line)):
            reason = _why_unstorable(_UNSTORABLE.findall(line)[0])
            return Bad(number, line, (Fault(None, reason),))
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
        found = _UNSTORABLE.search("".join(_texts({name: value})))
        if found is not None:
            shown = name if _storable(name) else None
            half = "holds half of a character (a lone surrogate)"
            yield Fault(shown, half if found[0] != "\x00" else _why_unstorable("\x00"))


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


def _batches(rows: _CSV | _NDJSON, size: int) -> Iterator[Batch]:
    batch, count, text = Batch(), 0, 0
    for row in rows:
        if isinstance(row, Record):
            batch.records.append(row)
        else:
            batch.bad.append(row)
        count += 1
        text += len(row.text)
        if count >= size or text >= BATCH_TEXT:
            yield batch
            batch, count, text = Batch(), 0, 0
    if count:
        yield batch
