"""What a resource costs more than it has to: told while it is developed.

By the declaration and the model's metadata alone: what no index serves, and rows that
only Python can show. It is advice: a table that stays small needs no index.
"""

import logging
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Boolean, Column
from sqlalchemy.types import Enum

from howdah.errors import Misconfigured
from howdah.indexes import Indexes
from howdah.resource.choice import only_python
from howdah.resource.declaration import Declaration
from howdah.statements import Layout, Target

__all__ = ("advise", "unserved")

_log = logging.getLogger("howdah.resource")

SEARCH = "search"


def advise(cls: type[Declaration], layout: Layout) -> None:
    """Log what costs more than it has to, and what would mend it."""
    if cls.orm is None and (why := only_python(cls, layout)):
        _log.warning(
            "%s: rows go through the ORM, at several round trips each, because %s; say "
            "orm = True where that is meant",
            cls.__name__,
            why,
            extra={"action": "orm"},
        )
    _advise_indexes(cls, layout)


def _advise_indexes(cls: type[Declaration], layout: Layout) -> None:
    found = unserved(cls, layout)
    if found:
        _log.warning(
            "%s: no index serves %s; a large table is read to its end for each. Add %s "
            "to the table, by a migration; or, where it stays small, say "
            "unindexed = (%s,)",
            cls.__name__,
            ", ".join(found),
            ", ".join(dict.fromkeys(found.values())),
            ", ".join(f'"{name}"' for name in found),
            extra={"action": "unindexed"},
        )


def unserved(cls: type[Declaration], layout: Layout) -> dict[str, str]:
    """Return what no index serves, by its name, and the index that would."""
    asked = {*cls.sort, *cls.filters, SEARCH}
    unknown = [name for name in cls.unindexed if name not in asked]
    if unknown:
        raise Misconfigured(
            f"{cls.__name__}: unindexed names {', '.join(unknown)}, by which nobody "
            f"can filter, sort or search; it may name {', '.join(sorted(asked))}"
        )
    found = dict(_found(cls, layout))
    return {name: index for name, index in found.items() if name not in cls.unindexed}


def _found(cls: type[Declaration], layout: Layout) -> Iterator[tuple[str, str]]:
    indexes = Indexes(table=layout.table, soft_delete=layout.soft_delete)
    for name in cls.sort:
        column = layout.fields[name]
        if not _has_few_values(column) and not indexes.order(column):
            yield name, _index(column)
    for name, target in layout.filters.items():
        missing = [_index(it) for it in _compared(target) if not _is_found(it, layout)]
        if missing:
            yield name, ", ".join(missing)
    if not all(indexes.find_parts(column) for column in layout.search):
        names = ", ".join(f'"{column.key}"' for column in layout.search)
        yield SEARCH, f'trigram_index("ix_{layout.table.name}_search", {names})'
    words = layout.full_text
    if words is not None and not indexes.find_words(words.column):
        yield SEARCH, _index(words.column, ', postgresql_using="gin"')


def _is_found(column: Column[Any], layout: Layout) -> bool:
    indexes = Indexes(table=column.table, soft_delete=layout.soft_delete)
    return _has_few_values(column) or indexes.find(column)


def _compared(target: Target) -> Iterator[Column[Any]]:
    """Yield the columns that a filter needs: its own, and those of its relation."""
    yield target.column
    if target.via is not None:
        tables = {target.via.parent.local_table, target.column.table}
        for pair in target.via.property.local_remote_pairs:
            yield from (c for c in pair if c.foreign_keys and c.table in tables)


def _has_few_values(column: Column[Any]) -> bool:
    """Say whether so many rows share each value that an index would not help."""
    return isinstance(column.type, Boolean | Enum)


def _index(column: Column[Any], options: str = "") -> str:
    table = column.table.name
    return f'Index("ix_{table}_{column.name}", "{column.key}"{options})'
