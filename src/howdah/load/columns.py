"""The columns of a text of CSV at one stroke, where its lines are rows.

Line ends become fields of their own, so that one call reads thousands of rows, and a
row with too few or too many fields shows by where these stand. Here nothing is refused:
a text that is not so plain is left to the reader of rows.
"""

import csv
from dataclasses import dataclass

__all__ = ("Columns", "columns_of")

_END = "\x1e"


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a text, and its lines where no field holds a line break."""

    fields: list[list[str]]
    lines: str | None


def columns_of(text: str, *, width: int, delimiter: str) -> Columns | None:
    """Return the columns of as many rows as there are, or None where they are odd."""
    lines = text.replace("\r\n", "\n") if "\r" in text else text
    if any(odd in lines for odd in (_END, "\r")) or delimiter in {_END, '"', "\n"}:
        return None
    whole = lines.removesuffix("\n")
    fields = _fields(whole, delimiter)
    ends = fields[width :: width + 1]
    if len(fields) % (width + 1) != width or ends.count(_END) != len(ends):
        return None
    columns = [fields[at :: width + 1] for at in range(width)]
    # A blank line is no record, and looks like an empty field.
    if width == 1 and "" in columns[0]:
        return None
    if whole.count("\n") == len(ends):
        return Columns(columns, f"{whole}\n")
    if fields.count(_END) != len(ends) or len(lines) != len(text):
        return None
    return Columns([_mended(column, delimiter) for column in columns], None)


def _fields(lines: str, delimiter: str) -> list[str]:
    marked = lines.replace("\n", _mark(delimiter))
    if '"' not in lines and _short(lines):
        return marked.split(delimiter)
    try:
        fields: list[str] = next(csv.reader([marked], delimiter=delimiter, strict=True))
    except csv.Error:
        return []
    return fields


def _mark(delimiter: str) -> str:
    return f"{delimiter}{_END}{delimiter}"


def _short(lines: str) -> bool:
    """Say whether surely no field is longer than the reader of rows would bear."""
    half = csv.field_size_limit() // 2
    starts = range(0, len(lines) - half, half)
    return all(lines.find("\n", start, start + half) >= 0 for start in starts)


def _mended(column: list[str], delimiter: str) -> list[str]:
    """Give the fields back their line breaks."""
    mark = _mark(delimiter)
    return [each.replace(mark, "\n") if _END in each else each for each in column]
