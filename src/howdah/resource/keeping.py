"""Fields that are kept as something else: a password as its hash.

A function makes of what people send what is stored, before a hook or a store sees it.
It runs in a thread, since to hash a password well takes long. Knows no schema.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Column

from howdah.sent import Values

__all__ = ("Kept",)


class Kept:
    """What becomes of a resource's fields that are no columns."""

    def __init__(
        self,
        stored_as: Mapping[str, tuple[str, Callable[[Any], Any]]],
        fields: Mapping[str, Column[Any]],
    ) -> None:
        self._stored_as = stored_as
        self.taken: Mapping[str, Column[Any]] = fields
        """The columns by the names of all fields that people may write."""
        if stored_as:
            own = {name: fields[column] for name, (column, _) in stored_as.items()}
            self.taken = {**fields, **own}

    async def one(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row as it is stored."""
        if self._stored_as.keys().isdisjoint(row):
            return row
        return await asyncio.to_thread(self._made, row)

    async def all(self, rows: Values) -> Values:
        """Return rows as they are stored; the same ones where nothing is to be made."""
        if all(self._stored_as.keys().isdisjoint(row) for row in rows):
            return rows
        return await asyncio.to_thread(lambda: [self._made(row) for row in rows])

    def names(self, names: Iterable[str]) -> frozenset[str]:
        """Return the fields that are stored where these are sent."""
        return frozenset(self._stored_as.get(name, (name,))[0] for name in names)

    def _made(self, row: Mapping[str, Any]) -> dict[str, Any]:
        values = dict(row)
        for name, (column, make) in self._stored_as.items():
            if name in values:
                given = values.pop(name)
                values[column] = None if given is None else make(given)
        return values
