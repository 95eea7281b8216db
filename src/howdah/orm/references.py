"""Which reference leads nowhere, where the database only says that one does."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ForeignKeyConstraint, select, tuple_
from sqlalchemy.orm import Session

from howdah.errors import HowdahError, StillReferenced
from howdah.orm.found import execute
from howdah.statements import Layout

__all__ = ("explained",)

Rows = Sequence[Mapping[str, Any]]


def explained(
    session: Session,
    layout: Layout,
    error: HowdahError,
    rows: Rows,
    keys: Sequence[Any],
) -> HowdahError:
    """Return the error with the fields to blame; all of them may lead to rows.

    Then it was the other way round: others refer to the rows with these keys.
    """
    for constraint in layout.table.foreign_key_constraints:
        if _leads_nowhere(session, constraint, _values(layout, constraint, rows)):
            return error.naming(tuple(column.name for column in constraint.columns))
    others = (c for c in _pointing_at(layout) if _leads_to(session, layout, c, keys))
    named = [column.name for constraint in others for column in constraint.columns]
    return StillReferenced().naming(tuple(named))


def _pointing_at(layout: Layout) -> Iterator[ForeignKeyConstraint]:
    for table in layout.table.metadata.sorted_tables:
        for constraint in table.foreign_key_constraints:
            if constraint.referred_table is layout.table:
                yield constraint


def _leads_to(
    session: Session,
    layout: Layout,
    constraint: ForeignKeyConstraint,
    keys: Sequence[Any],
) -> bool:
    """Say whether a row refers to one of the rows with these keys."""
    # Rows may refer to others of their own table.
    there = layout.table.alias("there")
    columns = [there.c[column.key] for column in layout.keys]
    known: Any = tuple_(*columns) if len(columns) > 1 else columns[0]
    leads = (there.c[e.column.key] == e.parent for e in constraint.elements)
    statement = select(columns[0]).where(known.in_(keys), *leads).limit(1)
    return execute(session, statement).first() is not None


def _values(
    layout: Layout, constraint: ForeignKeyConstraint, rows: Rows
) -> set[tuple[Any, ...]]:
    names = {column: name for name, column in layout.fields.items()}
    fields = [names[column] for column in constraint.columns if column in names]
    given = {tuple(row.get(name) for name in fields) for row in rows}
    return {values for values in given if None not in values}


def _leads_nowhere(
    session: Session, constraint: ForeignKeyConstraint, given: Iterable[Any]
) -> bool:
    columns = [element.column for element in constraint.elements]
    return any(
        execute(
            session,
            select(columns[0]).where(
                *(c == v for c, v in zip(columns, values, strict=True))
            ),
        ).first()
        is None
        for values in given
    )
