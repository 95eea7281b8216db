"""What has to be unique in a table, as constraints and indexes declare it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Index, Table, UniqueConstraint

from howdah.meaning import Moment, Reader, Values, reader

__all__ = ("Unique", "unique_rules")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unique:
    """Columns or expressions that differ from row to row, where a condition holds."""

    fields: tuple[str, ...]
    parts: tuple[Reader, ...]
    where: Reader | None
    nulls_differ: bool

    def value(self, values: Values, now: Moment) -> tuple[Any, ...] | None:
        """Return what no other row may have, or None where the row may have any."""
        if self.where is not None and self.where(values, now) is not True:
            return None
        value = tuple(part(values, now) for part in self.parts)
        return None if self.nulls_differ and None in value else value


def unique_rules(table: Table) -> tuple[Unique, ...]:
    """Return what the table demands to be unique beside its key."""
    if table not in _KNOWN:
        _KNOWN[table] = tuple(_rules(table))
    return _KNOWN[table]


_KNOWN: WeakKeyDictionary[Table, tuple[Unique, ...]] = WeakKeyDictionary()


def _rules(table: Table) -> Iterator[Unique]:
    constraints = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    for constraint in sorted(constraints, key=lambda c: str(c.name)):
        yield _unique(constraint, tuple(constraint.columns), None)
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        if index.unique:
            where = index.dialect_options["postgresql"].get("where")
            yield _unique(index, tuple(index.expressions), where)


def _unique(
    declared: UniqueConstraint | Index, parts: tuple[Any, ...], where: Any
) -> Unique:
    options = declared.dialect_options["postgresql"]
    return Unique(
        fields=tuple(column.name for column in declared.columns),
        parts=tuple(reader(part) for part in parts),
        where=None if where is None else reader(where),
        nulls_differ=not options.get("nulls_not_distinct"),
    )
