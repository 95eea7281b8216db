"""What is asked of a resource: which rows, found by which words. Knows no SQL."""

from dataclasses import dataclass

__all__ = ("Query",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which rows: those that hold the words of `search`, deleted ones too or not."""

    search: str | None = None
    active_only: bool = True
