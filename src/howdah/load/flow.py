"""Pieces of a file that go straight, poured into one COPY for as long as they come.

One COPY for many pieces keeps PostgreSQL at work while the next piece is made. The
pieces are remembered within bounds: where the table refuses one, they are gone through
again, and each that it still refuses is read as records.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from howdah.load.ahead import Ahead
from howdah.load.records import Batch
from howdah.load.sheets import Sheet
from howdah.load.verbatim import Form, Rows

__all__ = ("Flow", "Item", "Piece")

# So many bytes of rows are remembered until PostgreSQL has taken them all.
_REMEMBERED = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """A sheet, and its rows as COPY takes them."""

    sheet: Sheet
    rows: Rows

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.sheet.count


Item = Piece | Batch


class Flow:
    """A piece, and those behind it, as long as they come without a pause.

    It never fails: what an item failed with is left for who takes that item.
    """

    def __init__(
        self, first: Piece, items: Ahead[Item], told: Callable[[Piece], None]
    ) -> None:
        self.pieces: list[Piece] = []
        self._first = first
        self._items = items
        self._told = told

    @property
    def form(self) -> Form:
        """How all of them are written."""
        return self._first.rows.form

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._all():
            self.pieces.append(piece)
            yield piece.rows.text
            self._told(piece)
            size += len(piece.rows.text)
            if size >= _REMEMBERED:
                return

    async def _all(self) -> AsyncIterator[Piece]:
        yield self._first
        while self._goes_on(await self._items.soon()):
            piece = await self._items.next()
            assert isinstance(piece, Piece)  # noqa: S101 - it was seen before
            yield piece

    def _goes_on(self, item: Item | None) -> bool:
        return isinstance(item, Piece) and item.rows.form is self.form
