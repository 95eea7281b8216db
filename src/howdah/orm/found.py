"""Rows by their keys, and the tags of their versions.

PostgreSQL tells which transaction wrote a row. Elsewhere the version that a model
counts itself is the tag, and where it counts none, a digest of what is shown: then a
row that is again as it was has its old tag again.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, inspect, select, tuple_
from sqlalchemy.orm import Session, lazyload

from howdah.limits import is_short, shortened
from howdah.statements import Layout
from howdah.statements.layout import tag

__all__ = ("Finder", "Found", "execute", "values_of")

Found = tuple[Any, str]
"""A row, and the tag of its version."""


class Finder:
    """Finds the rows of one model by their keys."""

    def __init__(
        self, layout: Layout, model: type[Any], options: Sequence[Any]
    ) -> None:
        mapper = inspect(model)
        self._keys = layout.keys
        self._model = model
        self._options = options
        self._shown = tuple(
            mapper.get_property_by_column(column).key
            for column in layout.columns.values()
        )
        self._names = tuple(
            mapper.get_property_by_column(column).key for column in layout.keys
        )
        counted = mapper.version_id_col
        self._version = (
            None if counted is None else mapper.get_property_by_column(counted).key
        )

    def find(
        self,
        session: Session,
        keys: Sequence[Any],
        where: Sequence[ColumnElement[bool]] = (),
        *,
        lock: bool = False,
    ) -> list[Found | None]:
        """Return the rows with these keys in their order, None for one that is not.

        They are read anew, with what defaults and triggers made of them.
        """
        tagged = session.get_bind().dialect.name == "postgresql"
        found: dict[Any, Found] = {}
        for statement in self._statements(keys, where, tagged=tagged):
            locked = statement.with_for_update() if lock else statement
            for row, *tags in execute(session, locked):
                found[self.key(row)] = row, tags[0] if tagged else self._tag(row)
        return [found.get(key) for key in keys]

    def key(self, row: Any) -> Any:
        """Return a row's key: a value, or a tuple where it has several."""
        values = tuple(getattr(row, name) for name in self._names)
        return values if len(values) > 1 else values[0]

    def _statements(
        self, keys: Sequence[Any], where: Sequence[ColumnElement[bool]], *, tagged: bool
    ) -> Iterator[Select[Any]]:
        columns = (self._model, tag()) if tagged else (self._model,)
        statement = (
            select(*columns)
            .where(*where)
            .options(lazyload("*"), *self._options)
            .execution_options(populate_existing=True)
        )
        if len(keys) == 1:
            values = keys[0] if len(self._keys) > 1 else (keys[0],)
            pairs = zip(self._keys, values, strict=True)
            yield statement.where(*(column == value for column, value in pairs))
            return
        known: Any = tuple_(*self._keys) if len(self._keys) > 1 else self._keys[0]
        step = _MOST_PARAMETERS // len(self._keys)
        for start in range(0, len(keys), step):
            yield statement.where(known.in_(list(keys[start : start + step])))

    def _tag(self, row: Any) -> str:
        if self._version is not None:
            return str(getattr(row, self._version))
        shown = repr([getattr(row, name) for name in self._shown])
        return hashlib.blake2b(shown.encode(), digest_size=12).hexdigest()


# PostgreSQL counts the parameters of a statement in 16 bits, SQLite up to 32766.
_MOST_PARAMETERS = 10_000


def values_of(row: Any, names: Mapping[Column[Any], str]) -> dict[Column[Any], Any]:
    """Return a row's values by their columns.

    Drivers make a long float of a short one, with digits that nobody gave.
    """
    return {c: _shown(c, getattr(row, name)) for c, name in names.items()}


def _shown(column: Column[Any], value: Any) -> Any:
    return value if value is None or not is_short(column.type) else shortened(value)


def execute(
    session: Session, statement: Any, values: Mapping[str, Any] | None = None
) -> Any:
    """Execute a statement; sessions of SQLModel would rather have another verb."""
    return Session.execute(session, statement, values)
