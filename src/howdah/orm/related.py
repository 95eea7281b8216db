"""Embedded rows: those of a whole page in one query a relation, each in its order."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, and_, func, inspect, select, tuple_
from sqlalchemy.orm import Session, aliased, lazyload

from howdah.orm.found import execute, values_of
from howdah.query import Query
from howdah.rendering import Renderer, json_list
from howdah.statements import Embed, order
from howdah.statements.layout import active, is_readable

__all__ = ("Related",)


class Related:
    """The rows that one relation leads to, as the resource of those shows them."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._renderer = Renderer(embed.layout)
        relation = embed.relation.property
        self._parent = relation.parent.class_
        self._there = relation.mapper.class_
        there = inspect(self._there)
        self._names = {
            column: there.get_property_by_column(column).key
            for column in embed.layout.fields.values()
        }
        self._keys = _key_names(self._parent)

    def json(self, session: Session, rows: Sequence[Any]) -> list[bytes]:
        """Return what stands in each of these rows: a list, or a row, or null."""
        found: dict[tuple[Any, ...], dict[Any, bytes]] = {}
        keys = [tuple(getattr(row, name) for name in self._keys) for row in rows]
        for *key, row in execute(session, self._statement(keys)):
            # A row that is related twice is one row still, as in a session.
            found.setdefault(tuple(key), {}).setdefault(id(row), self._row(row))
        return [self._member(list(found.get(key, {}).values())) for key in keys]

    def _member(self, rows: Sequence[bytes]) -> bytes:
        if self._embed.many:
            return json_list(rows)
        return rows[0] if rows else b"null"

    def _row(self, row: Any) -> bytes:
        return self._renderer.row(values_of(row, self._names))

    def _statement(self, keys: Sequence[tuple[Any, ...]]) -> Select[Any]:
        embed, there = self._embed, self._embed.layout
        numbered = self._numbered(keys).subquery()
        parents = [numbered.c[f"parent_{n}"] for n in range(len(self._keys))]
        same = (
            column == numbered.c[f"key_{number}"]
            for number, column in enumerate(there.keys)
        )
        return (
            select(*parents, self._there)
            .join(numbered, and_(*same))
            .where(numbered.c.number <= (embed.limit if embed.many else 1))
            .order_by(numbered.c.number)
            .options(lazyload("*"))
        )

    def _numbered(self, keys: Sequence[tuple[Any, ...]]) -> Select[Any]:
        """Return the keys of the parents and of the related rows, in their order."""
        there = self._embed.layout
        parent: Any = aliased(self._parent)
        parents = [getattr(parent, name) for name in self._keys]
        parts = order(there, Query(sort=self._embed.sort))
        visible = active(there) if self._embed.many else is_readable(there)
        scope = () if there.scope is None else (there.scope.condition,)
        number = func.row_number().over(
            partition_by=parents,
            order_by=[part.clause(backward=False) for part in parts],
        )
        return (
            select(
                *(column.label(f"parent_{n}") for n, column in enumerate(parents)),
                *(column.label(f"key_{n}") for n, column in enumerate(there.keys)),
                number.label("number"),
            )
            .select_from(parent)
            .join(getattr(parent, self._embed.relation.key))
            .where(tuple_(*parents).in_(keys), *visible, *scope)
        )


def _key_names(model: type[Any]) -> tuple[str, ...]:
    mapper = inspect(model)
    columns = mapper.local_table.primary_key.columns
    return tuple(mapper.get_property_by_column(column).key for column in columns)
