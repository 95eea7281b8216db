"""What a reader hands on: records of a file, and those that cannot be read, and why.

Knows no format; what PostgreSQL cannot store in any text is said here for all of them.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, Self

__all__ = (
    "BATCH_TEXT",
    "Bad",
    "Batch",
    "Fault",
    "Record",
    "limited",
    "storable",
    "unstorable_in",
    "why_unstorable",
)

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

    @classmethod
    def of(cls, rows: Iterable[Record | Bad]) -> Self:
        """Make a batch of all the rows."""
        batch = cls()
        for row in rows:
            if isinstance(row, Record):
                batch.records.append(row)
            else:
                batch.bad.append(row)
        return batch

    @property
    def count(self) -> int:
        """How many records were read, good and bad."""
        return len(self.records) + len(self.bad)


def limited(rows: Iterable[Record | Bad], size: int) -> Iterator[Record | Bad]:
    """Give so many rows, or fewer where their text is long."""
    text = 0
    for row in islice(rows, size):
        yield row
        text += len(row.text)
        if text >= BATCH_TEXT:
            return


def storable(text: str) -> bool:
    """Say whether PostgreSQL can store every character of the text."""
    return unstorable_in(text) is None


def unstorable_in(text: str) -> str | None:
    """Return the first character that PostgreSQL cannot store, if there is one."""
    # A text of ASCII, as most are, needs no second look for surrogates.
    if text.isascii():
        return "\x00" if "\x00" in text else None
    found = _UNSTORABLE.search(text)
    return None if found is None else found[0]


def why_unstorable(character: str) -> str:
    """Return the reason for which a record with this character is refused."""
    if character == "\x00":
        return "holds a NUL byte, which PostgreSQL cannot store"
    if _DECODED_BYTES.match(character):
        return "is not valid in the file's encoding; save it as UTF-8 or say --encoding"
    return "holds half of a character (a lone surrogate)"
