"""The rows between two others: which are there, and what becomes of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from howdah.bulk import refuse_unheld, unrelated
from howdah.limits import largest
from howdah.orm.found import execute
from howdah.statements import Layout, is_visible, reachable
from howdah.store import Change

__all__ = ("linked", "relink")

Values = Mapping[Any, Any]


def linked(
    session: Session, layout: Layout, relation: str, values: Values
) -> Sequence[Any]:
    """Return the ids of the rows that a row with these values is related to.

    Of those that there are for the caller: the others are not seen, and stay.
    """
    link = layout.links[relation]
    owned = (inner == values[outer] for outer, inner in link.owners)
    statement = select(link.through).where(*owned, *is_visible(layout, link, relation))
    statement = statement.order_by(link.through)
    return list(execute(session, statement).scalars())


def relink(
    session: Session,
    layout: Layout,
    relation: str,
    values: Values,
    change: Change,
    ids: Sequence[Any],
) -> bool:
    """Set, add or remove related rows; say whether that changed anything."""
    link = layout.links[relation]
    ids = refuse_unheld(relation, change, ids, largest(link.other.type))
    if change != "remove":
        _refuse_unknown(session, layout, relation, ids)
    before = set(linked(session, layout, relation, values))
    after = _AFTER[change](before, set(ids))
    owner = {inner: values[outer] for outer, inner in link.owners}
    if gone := before - after:
        owned = (column == value for column, value in owner.items())
        statement = delete(link.table).where(*owned, link.through.in_(gone))
        execute(session, statement)
    if new := after - before:
        named = {column.key: value for column, value in owner.items()}
        rows = [{**named, link.through.key: value} for value in new]
        execute(session, insert(link.table).values(rows))
    return before != after


_AFTER: Mapping[Change, Callable[[set[Any], set[Any]], set[Any]]] = {
    "set": lambda _before, ids: ids,
    "add": lambda before, ids: before | ids,
    "remove": lambda before, ids: before - ids,
}


def _refuse_unknown(
    session: Session, layout: Layout, relation: str, ids: Sequence[Any]
) -> None:
    link = layout.links[relation]
    rows = reachable(layout, link, relation).where(link.other.in_(list(ids)))
    there = set(execute(session, rows).scalars())
    if unknown := [n for n, value in enumerate(ids) if value not in there]:
        raise unrelated(relation, unknown)
