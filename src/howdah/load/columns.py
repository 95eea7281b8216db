"""The columns of a text of CSV at one stroke, where its lines are rows.

Line ends become fields of their own, so that one call reads thousands of rows, and a
row with too few or too many fields shows by where these stand. Here nothing is refused:
a text that is not so plain is left to the reader of rows.
"""

import csv
from dataclasses import dataclass
from io import IncrementalNewlineDecoder

__all__ = ("Columns", "columns_of")

_END = "\x1e"
_ODD = {_END, '"', "\n"}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a text; and its lines, ended by LF, if each of them is a row."""

    fields: list[list[str]]
    lines: str | None


def columns_of(text: str, *, width: int, delimiter: str) -> Columns | None:
    """Return the columns of as many rows as there are, or None where they are odd."""
    lines, mark = _lines(text), f"{delimiter}{_END}{delimiter}"
    if lines is None or _END in lines or delimiter in _ODD:
        return None
    whole = lines.removesuffix("\n")
    marked = whole.replace("\n", mark)
    fields = _fields(marked, delimiter)
    ends = fields[width :: width + 1]
    if len(fields) % (width + 1) != width or ends.count(_END) != len(ends):
        return None
    columns = [fields[at :: width + 1] for at in range(width)]
    # A blank line is no record, and looks like an empty field.
    if width == 1 and "" in columns[0]:
        return None
    if len(marked) - len(whole) == len(ends) * (len(mark) - 1):
        return Columns(columns, f"{whole}\n")
    if fields.count(_END) != len(ends) or "\r" in text:
        return None
    return Columns([_mended(column, mark) for column in columns], None)


def _lines(text: str) -> str | None:
    """Return the text with one kind of line ends, or None where one is a lone CR."""
    if "\r" not in text:
        return text
    lines = IncrementalNewlineDecoder(None, translate=True).decode(text, final=True)
    return lines if len(text) - len(lines) == text.count("\r") else None


def _fields(marked: str, delimiter: str) -> list[str]:
    if '"' not in marked and _short(marked):
        return marked.split(delimiter)
    try:
        fields: list[str] = next(csv.reader([marked], delimiter=delimiter, strict=True))
    except csv.Error:
        return []
    return fields


def _short(marked: str) -> bool:
    """Say whether surely no field is longer than the reader of rows would bear."""
    half = csv.field_size_limit() // 2
    starts = range(0, len(marked) - half, half)
    return all(marked.find(_END, start, start + half) >= 0 for start in starts)


def _mended(column: list[str], mark: str) -> list[str]:
    """Give the fields back their line breaks."""
    return [each.replace(mark, "\n") if _END in each else each for each in column]
