"""What happens before and after a write, whichever action it is.

Every write of a resource goes through its store, so a store that calls hooks around
each is the one place for them. Its type holds that none is forgotten: what the port
has, this has to have.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from sqlalchemy import ColumnElement

from howdah.bulk import split_keys
from howdah.errors import Misconfigured
from howdah.paging import Page, Slice
from howdah.query import SHOW_ALL, Query, Show
from howdah.store import NO_CONDITIONS, Match, Once, Row, Store
from howdah.store import Change as Relating

__all__ = ("Change", "Hook", "HookedStore")

_log = logging.getLogger("howdah.resource")

Values = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A write: what is about to happen to which rows, or what has happened."""

    action: str
    """The store's method: `create`, `create_many`, `update`, `delete`, ..."""
    keys: tuple[Any, ...] = ()
    """The keys of the rows; of new ones they are known once they are written."""
    values: tuple[Values, ...] = ()
    """What was sent for each row, by the names of its fields."""
    body: bytes | None = None
    """The JSON that is answered, once it has happened; None where there is none."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows as they are answered, read from `body`."""
        found = json.loads(self.body or b"[]")
        return found if isinstance(found, list) else [found]


Hook = Callable[[Change], Awaitable[Any]]


class HookedStore:
    """A store that says what it does before it does it, and after."""

    def __init__(
        self, store: Store, keys: Sequence[str], *, before: Hook, after: Hook
    ) -> None:
        self._store = store
        self._keys = keys
        self._before = before
        self._after = after

    def within(
        self,
        condition: ColumnElement[bool],
        *,
        related: Mapping[str, ColumnElement[bool]] = NO_CONDITIONS,
    ) -> Self:
        """Return the store of the rows that meet a condition; see Store.within."""
        store = self._store.within(condition, related=related)
        return type(self)(store, self._keys, before=self._before, after=self._after)

    async def get(self, key: Any, *, show: Show = SHOW_ALL) -> Row:
        """Return the row, or raise NotFound."""
        return await self._store.get(key, show=show)

    async def list(self, query: Query, page: Page) -> Slice:
        """Return a page of rows."""
        return await self._store.list(query, page)

    async def count(self, query: Query) -> int:
        """Return how many rows there are."""
        return await self._store.count(query)

    async def create(self, values: Values, *, once: Once | None = None) -> Row:
        """Insert a row."""
        asked = Change(action="create", values=(values,))
        return await self._row(
            asked, lambda change: self._store.create(change.values[0], once=once)
        )

    async def create_many(
        self, rows: Sequence[Values], *, once: Once | None = None
    ) -> bytes:
        """Insert all rows or none."""
        asked = Change(action="create_many", values=tuple(rows))
        return await self._rows(
            asked, lambda change: self._store.create_many(change.values, once=once)
        )

    async def update(self, key: Any, values: Values, *, match: Match = None) -> Row:
        """Change the fields given and no others."""
        asked = Change(action="update", keys=(key,), values=(values,))
        return await self._row(
            asked,
            lambda change: self._store.update(key, change.values[0], match=match),
        )

    async def update_many(self, rows: Sequence[Values]) -> bytes:
        """Change many rows; all of them or none."""
        keys, values = split_keys(self._keys, rows)
        named = [{name: row[name] for name in self._keys} for row in rows]
        asked = Change(action="update_many", keys=tuple(keys), values=tuple(values))
        return await self._rows(
            asked,
            lambda change: self._store.update_many(
                [{**v, **k} for v, k in zip(change.values, named, strict=True)]
            ),
        )

    async def delete(self, key: Any, *, hard: bool, match: Match = None) -> None:
        """Mark the row as deleted, or remove it."""
        asked = Change(action="delete", keys=(key,))
        await self._nothing(
            asked, lambda _: self._store.delete(key, hard=hard, match=match)
        )

    async def delete_many(self, keys: Sequence[Any], *, hard: bool) -> None:
        """Mark all of these rows as deleted, or remove them."""
        asked = Change(action="delete_many", keys=tuple(keys))
        await self._nothing(asked, lambda _: self._store.delete_many(keys, hard=hard))

    async def restore(self, key: Any, *, match: Match = None) -> Row:
        """Take back the mark of deletion."""
        asked = Change(action="restore", keys=(key,))
        return await self._row(asked, lambda _: self._store.restore(key, match=match))

    async def upsert(
        self, values: Values, *, on: Sequence[str], changing: Collection[str]
    ) -> Row:
        """Insert a row, or change the known one."""
        asked = Change(action="upsert", values=(values,))
        return await self._row(
            asked,
            lambda change: self._store.upsert(
                change.values[0], on=on, changing=changing
            ),
        )

    async def upsert_many(
        self,
        rows: Sequence[Values],
        *,
        on: Sequence[str],
        changing: Sequence[Collection[str]],
    ) -> bytes:
        """Insert rows, or change the known ones; all of them or none."""
        asked = Change(action="upsert_many", values=tuple(rows))
        return await self._rows(
            asked,
            lambda change: self._store.upsert_many(
                change.values, on=on, changing=changing
            ),
        )

    async def related(self, key: Any, relation: str) -> bytes:
        """Return the ids of related rows."""
        return await self._store.related(key, relation)

    async def relate(
        self,
        key: Any,
        relation: str,
        change: Relating,
        ids: Sequence[Any],
        *,
        match: Match = None,
    ) -> str:
        """Set, add or remove related rows."""
        values = {"relation": relation, "change": change, "ids": tuple(ids)}
        asked = Change(action="relate", keys=(key,), values=(values,))
        wanted = await self._asked(asked)
        chosen = wanted.values[0]["ids"]
        tag = await self._store.relate(key, relation, change, chosen, match=match)
        await self._done(wanted)
        return tag

    async def _row(
        self, asked: Change, write: Callable[[Change], Awaitable[Row]]
    ) -> Row:
        change = await self._asked(asked)
        row = await write(change)
        keys = change.keys or (() if row.key is None else (row.key,))
        await self._done(replace(change, keys=keys, body=row.body))
        return row

    async def _rows(
        self, asked: Change, write: Callable[[Change], Awaitable[bytes]]
    ) -> bytes:
        change = await self._asked(asked)
        body = await write(change)
        await self._done(replace(change, body=body))
        return body

    async def _nothing(
        self, asked: Change, write: Callable[[Change], Awaitable[None]]
    ) -> None:
        change = await self._asked(asked)
        await write(change)
        await self._done(change)

    async def _asked(self, change: Change) -> Change:
        """Return the change with the values that the hook wants."""
        wanted = await self._before(change)
        if wanted is None:
            return change
        if not isinstance(wanted, Change) or len(wanted.values) != len(change.values):
            raise Misconfigured(
                f"before_write returned {type(wanted).__name__} for a {change.action} "
                f"of {len(change.values)} rows; return None, or the change with as "
                "many values: dataclasses.replace(change, values=...)"
            )
        return replace(change, values=wanted.values)

    async def _done(self, change: Change) -> None:
        # The rows are stored, and to answer with an error would be a lie that makes
        # clients write them again.
        try:
            await self._after(change)
        except Exception:  # noqa: BLE001 - whatever it is, the rows are stored
            _log.exception(
                "after_write failed behind a %s, which stays",
                change.action,
                extra={"action": "after_write_failed"},
            )
