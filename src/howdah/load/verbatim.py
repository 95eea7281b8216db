"""A file's own lines as rows for COPY, for where every value may stay as it is.

PostgreSQL reads CSV as we do where no field holds a quote; a text that stands for no
value does so with quotes as well. What the file lacks, and is the same in each row, is
put behind each line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from howdah.load.spelling import NULL

__all__ = ("Form", "Rows", "Verbatim", "verbatim_of")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How rows are written for COPY: their columns, and its options."""

    columns: tuple[str, ...]
    format: Literal["csv", "text"] = "text"
    delimiter: str | None = None
    null: str | None = None
    force_null: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for COPY, and how they are written."""

    text: bytes
    form: Form


class Verbatim:
    """Makes rows of lines: they are the rows, but for what is put behind each.

    Lines without quotes are cheaper to read as text than as CSV. But for each change a
    COPY has to be ended, so that there is no way back.
    """

    def __init__(self, csv: "_Way", text: "_Way | None") -> None:
        self._csv = csv
        self._way = text or csv

    def rows(self, lines: str) -> Rows:
        """Return the rows of lines, each of which is ended by LF."""
        if '"' in lines:
            self._way = self._csv
        form, behind = self._way.form, self._way.behind
        text = lines.replace("\n", f"{behind}\n") if behind else lines
        return Rows(text.encode(), form)


@dataclass(frozen=True, slots=True)
class _Way:
    form: Form
    behind: str


def verbatim_of(
    columns: Sequence[str], constants: Mapping[str, str], *, delimiter: str, null: str
) -> Verbatim | None:
    """Return what makes rows of lines with these columns and what each row lacks.

    None where COPY has no word for how the lines are written.
    """
    texts = [text for text in constants.values() if text != NULL]
    odd = any(each in "".join([*texts, null]) for each in _ODD)
    if odd or delimiter not in _DELIMITERS or delimiter in null:
        return None
    words = [null if text == NULL else text for text in constants.values()]
    form = Form(columns=(*columns, *constants), delimiter=delimiter, null=null)
    csv = replace(form, format="csv", force_null=tuple(columns))
    quote = null in texts or any(delimiter in text for text in texts)
    if quote:
        words = [null if text == NULL else f'"{text}"' for text in constants.values()]
    behind = "".join(f"{delimiter}{word}" for word in words)
    return Verbatim(_Way(csv, behind), None if quote else _Way(form, behind))


_DELIMITERS = {",", ";", "\t", "|", ":"}
# What would be read otherwise than it is written here.
_ODD = '"\\\n\r'
