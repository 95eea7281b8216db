"""A file's own lines as rows for COPY, for where every value may stay as it is.

PostgreSQL reads CSV as we do where no field holds a quote; a text that stands for no
value does so with quotes as well. What the file lacks, and is the same in each row, is
put behind each line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Makes rows of lines: they are the rows, but for what is put behind each."""

    form: Form
    behind: str

    def rows(self, lines: str) -> Rows:
        """Return the rows of lines, each of which is ended by LF."""
        text = lines.replace("\n", f"{self.behind}\n") if self.behind else lines
        return Rows(text.encode(), self.form)


def verbatim_of(
    columns: Sequence[str], constants: Mapping[str, str], *, delimiter: str, null: str
) -> Verbatim | None:
    """Return what makes rows of lines with these columns and what each row lacks.

    None where COPY has no word for how the lines are written.
    """
    if delimiter not in _DELIMITERS or delimiter in null:
        return None
    texts = [text for text in constants.values() if text != NULL]
    if any(odd in "".join(texts) for odd in _ODD) or any(odd in null for odd in _ODD):
        return None
    words = [null if text == NULL else f'"{text}"' for text in constants.values()]
    form = Form(
        columns=(*columns, *constants),
        format="csv",
        delimiter=delimiter,
        null=null,
        force_null=tuple(columns),
    )
    return Verbatim(form, "".join(f"{delimiter}{word}" for word in words))


_DELIMITERS = {",", ";", "\t", "|", ":"}
# What would be read otherwise than it is written here.
_ODD = '"\\\n\r'
