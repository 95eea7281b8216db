"""Names of related rows made keys: `category` in a file, `category_id` in the table.

A related row is known by the one unique text column of its table. Names are looked up
a batch at a time, and what was found is remembered within bounds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import asyncpg
import sqlalchemy
from sqlalchemy import Column, ForeignKeyConstraint, String, Table, UniqueConstraint
from sqlalchemy.orm import RelationshipDirection

from howdah.errors import Misconfigured
from howdah.load.convert import kind_of
from howdah.load.defaults import Default, default_of
from howdah.load.refusals import REFUSALS, reason_of

__all__ = ("Related", "Relation", "relations_of")

# So many names are remembered before all are forgotten: the file may have millions.
REMEMBERED = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A relation of the model: its name, the schema's field for its key, the key."""

    name: str
    field: str
    key: Column[Any]
    model: type[Any] | None = None

    @property
    def table(self) -> Table:
        """The table that the relation refers to."""
        table = self.key.table
        assert isinstance(table, Table)  # noqa: S101 - a foreign key refers to a table
        return table

    @property
    def label(self) -> Column[Any]:
        """The one unique text column by which people know a related row."""
        found = [
            column
            for column in _unique(self.table)
            if isinstance(kind_of(column), String) and column is not self.key
        ]
        if len(found) != 1:
            raise Misconfigured(
                f"{self.table.name} has {len(found)} unique text columns, so "
                f"{self.name!r} names no row for sure; give {self.field!r} in the file"
            )
        return found[0]


def relations_of(model: type[Any], fields: Mapping[str, str]) -> Iterator[Relation]:
    """Return the relations to one row whose foreign key is among the fields' columns.

    A foreign key `category_id` without a relationship is known as `category`.
    """
    mapper = sqlalchemy.inspect(model)
    found: set[str] = set()
    for relationship in mapper.relationships:
        pairs = relationship.local_remote_pairs or []
        if relationship.direction is not RelationshipDirection.MANYTOONE:
            continue
        if len(pairs) == 1 and pairs[0][0].name in fields:
            local, key = pairs[0]
            found.add(local.name)
            yield Relation(
                name=relationship.key,
                field=fields[local.name],
                key=key,
                model=relationship.entity.class_,
            )
    for local, key in _foreign_keys(mapper.local_table):
        if local.name in fields and local.name not in found:
            name = local.name.removesuffix("_id")
            if name != local.name:
                yield Relation(name=name, field=fields[local.name], key=key)


def _foreign_keys(table: Table) -> Iterator[tuple[Column[Any], Column[Any]]]:
    for constraint in table.constraints:
        if (
            isinstance(constraint, ForeignKeyConstraint)
            and len(constraint.columns) == 1
        ):
            element = constraint.elements[0]
            yield element.parent, element.column


def _unique(table: Table) -> Iterator[Column[Any]]:
    """Return each column that is unique by itself, once."""
    groups = [
        list(constraint.columns)
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
    ]
    groups += [
        list(index.columns)
        for index in table.indexes
        if index.unique and not index.dialect_options["postgresql"]["where"]
    ]
    yield from dict.fromkeys(group[0] for group in groups if len(group) == 1)


class Related:
    """The rows of one relation, by name, as this transaction sees them."""

    def __init__(self, relation: Relation, connection: asyncpg.Connection) -> None:
        self.relation = relation
        self.created = 0
        self._connection = connection
        self._known: dict[str, Any] = {}
        self._select = _select(relation)

    async def find(self, names: Iterable[str]) -> dict[str, Any]:
        """Return the keys of those names that there are."""
        wanted = set(names)
        if len(self._known) > REMEMBERED:
            self._known.clear()
        unknown = wanted - self._known.keys()
        if unknown:
            rows = await self._connection.fetch(self._select, sorted(unknown))
            self._known.update((row[0], row[1]) for row in rows)
        return {name: self._known[name] for name in wanted if name in self._known}

    async def create(self, names: Iterable[str]) -> dict[str, str]:
        """Make the rows with these names; return why some could not be made."""
        refused: dict[str, str] = {}
        for name in sorted(names):
            reason = await self._create(name)
            if reason is not None:
                refused[name] = reason
        return refused

    async def _create(self, name: str) -> str | None:
        statement, defaults = self._insert
        values = [name, *(each.values(1)[0] for each in defaults)]
        try:
            async with self._connection.transaction():
                done = await self._connection.execute(statement, *values)
        except REFUSALS as exc:
            return f"cannot be made in {self.relation.table.name}: {reason_of(exc)}"
        # Zero rows: somebody else has made it in the meantime.
        self.created += int(done.rpartition(" ")[2])
        return None

    @cached_property
    def _insert(self) -> tuple[str, list[Default]]:
        label, table = self.relation.label, self.relation.table
        others = [column for column in table.columns if column is not label]
        filled = {each: default_of(self.relation.model, each) for each in others}
        for column, default in filled.items():
            if default is None and _demanded(column):
                raise Misconfigured(
                    f"{table.name} needs {column.name!r} as well, so --create-related "
                    f"cannot make a row from {label.name!r} alone; "
                    f"load {table.name} first"
                )
        defaults = [default for default in filled.values() if default is not None]
        return _insert(table, [label, *(each.column for each in defaults)]), defaults


def _demanded(column: Column[Any]) -> bool:
    """Say whether a row needs a value here that nothing but the file can give."""
    table = column.table
    made = column.server_default is not None or column.identity or column.computed
    return not (column.nullable or made or column is table.autoincrement_column)


def _select(relation: Relation) -> str:
    label, key = _quoted(relation.label.name), _quoted(relation.key.name)
    return (
        f"SELECT given.name, related.{key} "  # noqa: S608 - quoted names only
        "FROM unnest($1::text[]) AS given(name) "
        f"JOIN {_qualified(relation.table)} AS related ON related.{label} = given.name"
    )


def _insert(table: Table, columns: Sequence[Column[Any]]) -> str:
    names = ", ".join(_quoted(column.name) for column in columns)
    places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
    return (
        f"INSERT INTO {_qualified(table)} ({names}) "  # noqa: S608 - quoted names only
        f"VALUES ({places}) ON CONFLICT DO NOTHING"
    )


def _qualified(table: Table) -> str:
    return ".".join(_quoted(part) for part in (table.schema, table.name) if part)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
