"""Documents that are linked: filters over them, and their JSON inside of others'."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from howdah.documents.changes import Stored
from howdah.documents.codec import decoded, encoded, read
from howdah.documents.database import MongoDatabase
from howdah.documents.matching import (
    Match,
    active,
    filtered,
    joined,
    matching,
    readable,
)
from howdah.documents.pages import sliced, target_of
from howdah.paging import OffsetPage
from howdah.query import Filter, Query
from howdah.rendering import Renderer, json_list
from howdah.statements import Embed, Layout

__all__ = ("Embedded", "led_to")

# As many as a page's rows can have of them.
_EVERYTHING = 2**31 - 2


async def led_to(database: MongoDatabase, layout: Layout, filter_: Filter) -> Match:
    """Return what a relation leads from to what meets a filter.

    Which that is, is asked first: whole links can be compared by an index, and their
    parts only by some servers.
    """
    target = target_of(layout, filter_)
    relation = target.via.property
    ((here, there),) = relation.local_remote_pairs
    parts = [filtered(target.column, filter_)]
    scope = layout.related.get(relation.key)
    if scope is not None:
        parts.append(matching(scope.condition))
    collection = await database.collection(relation.local_table.name)
    met = await collection.distinct(there.info["path"], joined(parts))
    keys = [decoded(there, each) for each in met if each is not None]
    return {here.info["path"]: {"$in": [encoded(here, each) for each in keys]}}


class Embedded:
    """The documents that one relation leads to, as their resource shows them."""

    def __init__(self, database: MongoDatabase, embed: Embed) -> None:
        self._database = database
        self._embed = embed
        self._renderer = Renderer(embed.layout)
        relation = embed.relation.property
        ((self._here, self._there),) = relation.local_remote_pairs

    async def json(self, rows: Sequence[Stored]) -> list[bytes]:
        """Return for each row the JSON of what is related: a list, or one, or null."""
        given = {row.values[self._here] for row in rows} - {None}
        known = await self._found([encoded(self._there, each) for each in given])
        return [self._shown(known[row.values[self._here]]) for row in rows]

    async def _found(self, keys: Sequence[Any]) -> dict[Any, list[bytes]]:
        """Return what is shown, by what leads to it."""
        found: dict[Any, list[bytes]] = defaultdict(list)
        if not keys:
            return found
        there = self._embed.layout
        collection = await self._database.collection(there.table.name)
        stages = [
            {"$match": self._matching(keys)},
            *sliced(there, Query(sort=self._embed.sort), OffsetPage(limit=_EVERYTHING)),
        ]
        async for raw in await collection.aggregate(stages):
            values = read(there.table.columns, raw)
            mine = found[values[self._there]]
            if len(mine) < self._embed.limit:
                mine.append(self._renderer.row(values))
        return found

    def _matching(self, keys: Sequence[Any]) -> Match:
        there, many = self._embed.layout, self._embed.many
        mark = there.soft_delete
        parts: list[Match] = [
            {self._there.info["path"]: {"$in": list(keys)}},
            active(mark) if many else readable(mark),
        ]
        if there.scope is not None:
            parts.append(matching(there.scope.condition))
        return joined(parts)

    def _shown(self, rows: Sequence[bytes]) -> bytes:
        if self._embed.many:
            return json_list(rows)
        return rows[0] if rows else b"null"
