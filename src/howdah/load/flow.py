"""Pieces of a file that go straight, poured into one COPY for as long as they come.

One COPY for many pieces keeps PostgreSQL at work while the next piece is made. The
pieces are remembered within bounds: where the table refuses one, they are gone through
again, and each that it still refuses is read as records.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from howdah.load.records import Batch
from howdah.load.separated import Sheet

__all__ = ("Flow", "Item", "Piece")

# So many bytes of rows are remembered until PostgreSQL has taken them all.
_REMEMBERED = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """A sheet, and its rows as COPY takes them."""

    sheet: Sheet
    rows: bytes

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.sheet.count


Item = Piece | Batch


class Flow:
    """The pieces that lie at the front of a load's items, and what comes next."""

    def __init__(
        self, first: Piece, items: AsyncIterator[Item], told: Callable[[Piece], None]
    ) -> None:
        self.pieces: list[Piece] = []
        self.next: Item | None = first
        self._items = items
        self._told = told

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        while isinstance(piece := self.next, Piece) and size < _REMEMBERED:
            self.pieces.append(piece)
            size += len(piece.rows)
            yield piece.rows
            self._told(piece)
            self.next = await anext(self._items, None)
