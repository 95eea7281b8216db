"""The port: what a resource asks of wherever its rows are.

Rows go in as plain values by field name and come out as the bytes of their JSON,
since the one store that matters most, PostgreSQL, writes JSON itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from howdah.paging import Page, Slice
from howdah.query import Query

__all__ = ("Created", "Store")


@dataclass(frozen=True, slots=True)
class Created:
    """A new row: its key, and its JSON."""

    key: Any
    body: bytes


class Store(Protocol):
    """Rows of one resource. Each method is one statement, and its own transaction."""

    async def get(self, key: Any) -> bytes:
        """Return the row, or raise NotFound."""

    async def list(self, query: Query, page: Page) -> Slice:
        """Return a page of rows, in the query's order and then that of their keys."""

    async def count(self, query: Query) -> int:
        """Return how many rows there are."""

    async def create(self, values: Mapping[str, Any]) -> Created:
        """Insert a row."""

    async def create_many(self, rows: Sequence[Mapping[str, Any]]) -> bytes:
        """Insert all rows or none; return them as a JSON list, in the order given."""

    async def update(self, key: Any, values: Mapping[str, Any]) -> bytes:
        """Change the fields given and no others; return the row or raise NotFound."""

    async def delete(self, key: Any, *, hard: bool) -> None:
        """Mark the row as deleted, or remove it; raise NotFound where it is not."""
