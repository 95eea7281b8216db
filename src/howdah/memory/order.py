"""Sort and position in plain Python: NULLs have a place, the key breaks all ties."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from howdah.meaning import Values, asked, comparable
from howdah.query import Query
from howdah.rendering import position_text
from howdah.statements import Layout, Part, order

__all__ = ("Order",)

Rank = Callable[[Any], Any]


class Order:
    """The order of a query's rows."""

    def __init__(self, layout: Layout, query: Query) -> None:
        self._parts = order(layout, query)
        self._ranks = [comparable(part.column.type) for part in self._parts]

    @property
    def columns(self) -> list[Any]:
        """The columns whose values make a position."""
        return [part.column for part in self._parts]

    def position(self, row: Values) -> str:
        """Return where a row stands, as the text of a cursor."""
        return position_text([row[column] for column in self.columns])

    def sorted(self, rows: Iterable[Values]) -> list[Values]:
        """Return the rows in order."""
        ordered = list(rows)
        # Each sort leaves equals as they stand, so the last part goes first.
        for part, rank in reversed(list(zip(self._parts, self._ranks, strict=True))):
            nulls = [row for row in ordered if row[part.column] is None]
            rest = [row for row in ordered if row[part.column] is not None]
            rest.sort(key=_by(part, rank), reverse=part.descending)
            ordered = [*nulls, *rest] if part.nulls_first else [*rest, *nulls]
        return ordered

    def behind(self, row: Values, position: Sequence[Any], *, backward: bool) -> bool:
        """Say whether a row stands behind (or, backward, before) a position."""
        for part, rank, value in zip(self._parts, self._ranks, position, strict=True):
            there = None if value is None else rank(asked(part.column.type, value))
            mine = row[part.column]
            here = None if mine is None else rank(mine)
            if here != there:
                return _is_later(part, here, there) is not backward
        return False


def _by(part: Part, rank: Rank) -> Rank:
    return lambda row: rank(row[part.column])


def _is_later(part: Part, here: Any, there: Any) -> bool:
    """Say whether one value of a column stands behind another, in its order."""
    if here is None or there is None:
        return (here is None) is not part.nulls_first
    return bool(here < there if part.descending else here > there)
