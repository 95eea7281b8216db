"""An open file of rows: the names in its head, and the batches that follow.

Bytes become text here; what a row is, each format says in a module of its own. Knows
no model: names are those of the file.
"""

import codecs
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from howdah.errors import Invalid, Misconfigured, NotFound
from howdah.load.lines import Lines
from howdah.load.ndjson import NDJSON
from howdah.load.records import Batch
from howdah.load.separated import Separated
from howdah.load.sheets import Sheet
from howdah.load.terms import Source

__all__ = ("Reader", "open_reader")

# So many bytes are read at once, or fewer where a pipe has no more yet.
_BLOCK = 128 * 1024


@dataclass(slots=True, kw_only=True)
class Reader:
    """An open file: the names in its head, and the batches that follow."""

    names: tuple[str, ...]
    head: str
    batches: Callable[[int], Iterator[Batch | Sheet]]
    position: Callable[[], int]
    total: int | None
    sparse: bool
    source: Source


@contextmanager
def open_reader(source: Source) -> Iterator[Reader]:
    """Open the source and read its head; raise Invalid where it has none."""
    with _opened(source.file) as (raw, total):
        text = _Text(raw, source.encoding)
        rows = _rows(Lines(text.read), source)
        yield Reader(
            names=rows.names,
            head=rows.head,
            batches=rows.batches,
            position=lambda: text.position,
            total=total,
            sparse=source.format == "ndjson",
            source=source,
        )


def _rows(lines: Lines, source: Source) -> Separated | NDJSON:
    if source.format == "ndjson":
        return NDJSON(lines)
    return Separated(lines, delimiter=source.delimiter, null=source.null)


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


class _Text:
    """The text of a stream of bytes, as far as the stream gives it; and how far."""

    def __init__(self, raw: Any, encoding: str) -> None:
        self._raw = raw
        self._encoding = "utf-8-sig" if _is_utf8(encoding) else encoding
        self._decode = _decoder(self._encoding)
        self._buffer = memoryview(bytearray(_BLOCK))
        self.position = 0

    def read(self) -> str:
        """Return some more text, none at the end; raise UnicodeError for no text."""
        text, ended = "", False
        # The bytes of half a character are no text yet.
        while not (text or ended):
            count = self._raw.readinto(self._buffer) or 0
            self.position += count
            ended = count == 0
            text = self._text(self._buffer[:count], ended=ended)
        return text

    def _text(self, data: memoryview, *, ended: bool) -> str:
        try:
            return self._decode(data, ended)
        except UnicodeError as exc:
            raise UnicodeError(self._encoding) from exc


def _decoder(encoding: str) -> Callable[[Any, bool], str]:
    try:
        # There are codecs for bytes as well, which this tells apart.
        "a".encode(encoding)
    except LookupError:
        raise Misconfigured(
            f"there is no encoding {encoding!r}; try utf-8, latin-1 or cp1252"
        ) from None
    # "surrogateescape" lets a bad byte through as a lone surrogate: the record that
    # holds it is refused by line, and its bytes are written back as they were.
    return codecs.getincrementaldecoder(encoding)("surrogateescape").decode


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"}
