"""Tables as dictionaries, and a change of them that is kept whole or not at all."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table

from howdah.errors import Duplicate
from howdah.meaning import Moment, Values
from howdah.memory.unique import Unique, unique_rules

__all__ = ("Change", "Key", "Stored", "Tables")

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A row, and the tag of its version."""

    values: Values
    tag: str


class Tables:
    """Rows by table, and by key in each."""

    def __init__(self, tables: Mapping[Table, Mapping[Key, Stored]]) -> None:
        self._tables = tables

    def table(self, table: Table) -> Mapping[Key, Stored]:
        """Return the rows of a table by their keys; one without rows is empty."""
        return self._tables.get(table, {})

    def rows(self, table: Table) -> list[Values]:
        """Return the values of a table's rows."""
        return [stored.values for stored in self.table(table).values()]


class Change(Tables):
    """Tables that are being changed; what they were before stays as it was."""

    def __init__(
        self,
        before: Tables,
        *,
        now: Moment,
        tag: str,
        number: Callable[[Column[Any]], int],
    ) -> None:
        self._changed: dict[Table, dict[Key, Stored]] = {}
        super().__init__(self._changed)
        self._before = before
        self._taken: dict[Unique, dict[Any, Key]] = {}
        self._origins: dict[tuple[Table, Key], Key] = {}
        self.now = now
        self.tag = tag
        self.number = number

    def table(self, table: Table) -> Mapping[Key, Stored]:
        """Return the rows of a table by their keys, changes included."""
        changed = self._changed.get(table)
        return self._before.table(table) if changed is None else changed

    def put(self, table: Table, values: Values, *, at: Key | None = None) -> Stored:
        """Store a new row, or, where `at` is its old key, a changed one."""
        key = tuple(values[column] for column in table.primary_key.columns)
        rows = self._copied(table)
        if key != at and key in rows:
            raise Duplicate().naming(tuple(c.name for c in table.primary_key.columns))
        if at is not None:
            self._origins[table, key] = self._origins.pop((table, at), at)
            self.remove(table, at)
        self._claim(table, values, key)
        rows[key] = Stored(values, self.tag)
        return rows[key]

    def remove(self, table: Table, key: Key) -> None:
        """Remove a row."""
        old = self._copied(table).pop(key)
        for rule in unique_rules(table):
            if rule in self._taken:
                self._taken[rule].pop(rule.value(old.values, self.now), None)

    def moves(self) -> Iterator[tuple[Table, Values, Values | None]]:
        """Yield the rows that were there before, with what they have become."""
        became = {(t, origin): key for (t, key), origin in self._origins.items()}
        for table in tuple(self._changed):
            for key, old in self._before.table(table).items():
                new = self._changed[table].get(became.get((table, key), key))
                if new is not old:
                    yield table, old.values, None if new is None else new.values

    def written(self) -> Iterator[tuple[Table, Values]]:
        """Yield the rows that were written."""
        for table in tuple(self._changed):
            before = self._before.table(table)
            for key, stored in tuple(self._changed[table].items()):
                if before.get(key) is not stored:
                    yield table, stored.values

    def kept(self) -> dict[Table, dict[Key, Stored]]:
        """Return the tables that have changed."""
        return self._changed

    def _copied(self, table: Table) -> dict[Key, Stored]:
        if table not in self._changed:
            self._changed[table] = dict(self._before.table(table))
        return self._changed[table]

    def _claim(self, table: Table, values: Values, key: Key) -> None:
        """Raise Duplicate where another row has what has to be unique."""
        for rule in unique_rules(table):
            if rule not in self._taken:
                self._taken[rule] = self._values_of(table, rule)
            value = rule.value(values, self.now)
            if value is None:
                continue
            if value in self._taken[rule]:
                raise Duplicate().naming(rule.fields)
            self._taken[rule][value] = key

    def _values_of(self, table: Table, rule: Unique) -> dict[Any, Key]:
        return {
            value: key
            for key, stored in self.table(table).items()
            if (value := rule.value(stored.values, self.now)) is not None
        }
