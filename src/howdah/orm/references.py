"""Which reference leads nowhere, where the database only says that one does."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ForeignKeyConstraint, select
from sqlalchemy.orm import Session

from howdah.errors import HowdahError, MissingReference, StillReferenced
from howdah.orm.found import execute
from howdah.statements import Layout

__all__ = ("explained",)

Rows = Sequence[Mapping[str, Any]]


def explained(
    session: Session, layout: Layout, rows: Rows, error: MissingReference
) -> HowdahError:
    """Return the error with the fields to blame; all of them may lead to rows.

    Then it was the other way round: a key was changed that others refer to.
    """
    for constraint in layout.table.foreign_key_constraints:
        if _leads_nowhere(session, constraint, _values(layout, constraint, rows)):
            return error.naming(tuple(column.name for column in constraint.columns))
    return StillReferenced()


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
