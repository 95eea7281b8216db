"""Rows that a relation leads to, found by the columns that it is made of."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from howdah.meaning import Values
from howdah.memory.tables import Tables

__all__ = ("leads_to", "related")

Test = Callable[[Values], Any]


def leads_to(relation: Any, tables: Tables, test: Test) -> Test:
    """Return what says whether a row is related to one that meets a test."""
    prop = relation.property
    met = [row for row in tables.rows(prop.mapper.local_table) if test(row) is True]
    if prop.secondary is None:
        pairs = prop.local_remote_pairs
        found = _values(met, [remote for _, remote in pairs])
        return _among([local for local, _ in pairs], found)
    far = prop.secondary_synchronize_pairs
    there = _values(met, [remote for remote, _ in far])
    among = _among([link for _, link in far], there)
    links = [row for row in tables.rows(prop.secondary) if among(row)]
    near = prop.synchronize_pairs
    found = _values(links, [link for _, link in near])
    return _among([local for local, _ in near], found)


def related(relation: Any, tables: Tables, row: Values) -> list[Values]:
    """Return the rows that a relation leads to from a row, in no order."""
    prop = relation.property
    there = tables.rows(prop.mapper.local_table)
    if prop.secondary is None:
        near, far = zip(*prop.local_remote_pairs, strict=True)
        return list(filter(_among(far, _values([row], near)), there))
    near, links_near = zip(*prop.synchronize_pairs, strict=True)
    far, links_far = zip(*prop.secondary_synchronize_pairs, strict=True)
    among = _among(links_near, _values([row], near))
    links = [link for link in tables.rows(prop.secondary) if among(link)]
    return list(filter(_among(far, _values(links, links_far)), there))


def _values(rows: Iterable[Values], columns: Sequence[Any]) -> set[tuple[Any, ...]]:
    return {tuple(row[column] for column in columns) for row in rows}


def _among(columns: Sequence[Any], found: set[tuple[Any, ...]]) -> Test:
    def among(row: Values) -> bool:
        values = tuple(row[column] for column in columns)
        return None not in values and values in found

    return among
