"""The port: what a resource asks of wherever its rows are.

Rows go in as plain values by field name and come out as the bytes of their JSON,
since the one store that matters most, PostgreSQL, writes JSON itself.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NoReturn, Protocol, Self

from sqlalchemy import ColumnElement

from howdah.errors import IdempotencyMismatch
from howdah.paging import Page, Slice
from howdah.query import SHOW_ALL, Query, Show

__all__ = ("NO_CONDITIONS", "Change", "Match", "Once", "Replayed", "Row", "Store")

NO_CONDITIONS: Mapping[str, ColumnElement[bool]] = MappingProxyType({})


Change = Literal["set", "add", "remove"]
"""What becomes of the relations of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row: its JSON, the tag of its version, and the key where it may be new."""

    body: bytes
    tag: str
    key: Any = None
    created: bool = False
    """Whether an upsert has made it."""


Match = tuple[str, ...] | None
"""The versions that a change is meant for; None stands for any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """What makes a request the same as one before, so that it is done once."""

    key: str
    """The client's own name for the request."""
    fingerprint: bytes
    """What the request says; the same key with another is a mistake."""

    def meet(self, fingerprint: bytes, row: Row) -> NoReturn:
        """Raise Replayed with the answer that is kept for this key.

        Raises IdempotencyMismatch where it was kept for a request that said something
        else.
        """
        if fingerprint != self.fingerprint:
            raise IdempotencyMismatch().naming(("Idempotency-Key",))
        raise Replayed(row)


class Replayed(Exception):
    """The request has been answered before; nothing was done, and this is the answer.

    Raised, so that what code does behind a creation is not done again either.
    """

    def __init__(self, row: Row) -> None:
        super().__init__("the request has been answered before")
        self.row = row


class Store(Protocol):
    """Rows of one resource. Each method is one statement, and its own transaction.

    What is given a `once` keeps its answer for a day, in the same transaction as the
    rows. Asked again it raises Replayed with that answer; StillRunning where the first
    has not ended, and IdempotencyMismatch where it said something else. What fails is
    not kept.
    """

    def within(
        self,
        condition: ColumnElement[bool],
        *,
        related: Mapping[str, ColumnElement[bool]] = NO_CONDITIONS,
    ) -> Self:
        """Return the store of the rows that meet a condition, and of no others.

        For all its methods there are no rows beyond. New rows get what the condition
        says that columns are equal to; Forbidden is raised, and nothing written, where
        a row would not meet the condition. `related` says the same of the rows that
        relations of these names lead to, for filters and for what is embedded.
        """

    async def get(self, key: Any, *, show: Show = SHOW_ALL) -> Row:
        """Return the row, or raise NotFound; `show` says what of it."""

    async def list(self, query: Query, page: Page) -> Slice:
        """Return a page of rows, in the query's order and then that of their keys."""

    async def count(self, query: Query) -> int:
        """Return how many rows there are."""

    async def create(
        self, values: Mapping[str, Any], *, once: Once | None = None
    ) -> Row:
        """Insert a row."""

    async def create_many(
        self, rows: Sequence[Mapping[str, Any]], *, once: Once | None = None
    ) -> bytes:
        """Insert all rows or none; return them as a JSON list, in the order given.

        Replayed then has a Row with the list as its body, and no tag.
        """

    async def update(
        self, key: Any, values: Mapping[str, Any], *, match: Match = None
    ) -> Row:
        """Change the fields given and no others; return the row.

        Raises NotFound, and StaleVersion for a row of another version than `match`.
        """

    async def update_many(self, rows: Sequence[Mapping[str, Any]]) -> bytes:
        """Change in each row the fields it gives beside its key; all rows or none.

        Returns a JSON list in the order given. Raises NotFound with the indexes of
        rows that are not there, and Invalid where a key is given twice.
        """

    async def delete(self, key: Any, *, hard: bool, match: Match = None) -> None:
        """Mark the row as deleted, or remove it; raises as `update` does."""

    async def delete_many(self, keys: Sequence[Any], *, hard: bool) -> None:
        """Mark all of these rows as deleted, or remove them; see `update_many`."""

    async def restore(self, key: Any, *, match: Match = None) -> Row:
        """Take back the mark of deletion; raises as `update` does."""

    async def upsert(
        self, values: Mapping[str, Any], *, on: Sequence[str], changing: Collection[str]
    ) -> Row:
        """Insert a row, or change the one that has the same values in the fields `on`.

        A known row changes in the fields `changing` alone, and is deleted no more.
        """

    async def upsert_many(
        self,
        rows: Sequence[Mapping[str, Any]],
        *,
        on: Sequence[str],
        changing: Sequence[Collection[str]],
    ) -> bytes:
        """Insert or change each row, as `upsert` does; all rows or none.

        Returns a JSON list in the order given. Raises Invalid with the indexes of rows
        that have the same values in the fields `on`.
        """

    async def relate(
        self,
        key: Any,
        relation: str,
        change: Change,
        ids: Sequence[Any],
        *,
        match: Match = None,
    ) -> str:
        """Set, add or remove related rows; return the tag of the row's version.

        Raises as `update` does, and MissingReference with the indexes of ids that no
        row has; what is related already may be added, what is not may be removed.
        """

    async def related(self, key: Any, relation: str) -> bytes:
        """Return the JSON list of the ids of related rows, in their order."""
