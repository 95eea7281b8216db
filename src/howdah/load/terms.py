"""The words of a load: where rows come from, where they go, how, and what came of it.

Plain frozen data; nothing here reads a file or a database.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import BaseModel

from howdah.errors import Misconfigured

__all__ = (
    "Format",
    "LoadOptions",
    "Progress",
    "Refusal",
    "Report",
    "Source",
    "Target",
    "format_of",
)

Format = Literal["csv", "ndjson"]

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}


def format_of(path: Path) -> Format:
    """Return the format that a file's name promises."""
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise Misconfigured(
            f"cannot tell the format of {path.name} by its name; "
            "say --format csv or --format ndjson"
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of rows, or a stream of bytes that is read once and left open.

    In CSV a field equal to `null` is no value: the field's default, or NULL.
    """

    file: Path | BinaryIO
    format: Format = "csv"
    encoding: str = "utf-8"
    delimiter: str = ","
    null: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A mapped class and the schema that its new rows have to pass."""

    model: type[Any]
    schema: type[BaseModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a load is: bytes of the file (`total` if known), rows, refused rows."""

    bytes: int
    total: int | None
    read: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How to load. `skip_bad` names the file for the refused rows.

    Without `skip_bad` one refused row means that nothing is loaded.
    """

    create_related: bool = False
    skip_bad: Path | None = None
    force: bool = False
    show: int = 100
    chunk: int = 5_000
    progress: Callable[[Progress], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why the record that starts in this line of the file was refused."""

    line: int
    column: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a load; `refusals` tells of the first refused rows only."""

    read: int
    loaded: int
    refused: int
    created_related: dict[str, int] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    skipped_to: Path | None = None
