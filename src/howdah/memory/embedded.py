"""Related rows inside of a row's JSON."""

from howdah.meaning import Values
from howdah.memory.conditions import active, is_readable, is_within
from howdah.memory.order import Order
from howdah.memory.relations import related
from howdah.memory.tables import Tables
from howdah.query import Query
from howdah.rendering import Renderer, json_list
from howdah.statements import Embed

__all__ = ("Embedded",)


class Embedded:
    """The rows that one relation leads to, as the resource of those shows them."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._renderer = Renderer(embed.layout)

    def json(self, values: Values, tables: Tables) -> bytes:
        """Return the JSON of a row's related rows: a list, or one of them, or null."""
        rows = self._rows(values, tables)
        if self._embed.many:
            return json_list(self._renderer.row(each) for each in rows)
        return self._renderer.row(rows[0]) if rows else b"null"

    def _rows(self, values: Values, tables: Tables) -> list[Values]:
        embed, there = self._embed, self._embed.layout
        is_active = active(there.soft_delete)
        rows = [
            row
            for row in related(embed.relation, tables, values)
            if (is_active(row) if embed.many else is_readable(there, row))
            and is_within(there.scope, row)
        ]
        return Order(there, Query(sort=embed.sort)).sorted(rows)[: embed.limit]
