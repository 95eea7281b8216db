"""Naming the rows of a batch that the database refused: asked once it has."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from sqlalchemy import ClauseElement
from sqlalchemy.exc import SQLAlchemyError

from howdah.bulk import MOST_BLAMED
from howdah.drivers import sqlstate
from howdah.errors import HowdahError, StillReferenced
from howdah.statements import Becoming, culprits, without_value

__all__ = ("is_twice", "name_rows")

Ask = Callable[[ClauseElement], Awaitable[Sequence[int] | None]]


def is_twice(error: HowdahError) -> bool:
    """Say whether an upsert would change a row twice: PostgreSQL names none."""
    return error.__cause__ is not None and sqlstate(error.__cause__) == "21000"


async def name_rows(
    error: HowdahError, becoming: Callable[[], Becoming], ask: Ask
) -> None:
    """Add the indexes of the rows that are to blame, where they can be found.

    Others may have written in the meantime, or the rule is none that the metadata
    tells; then the error stays as it is, without any.
    """
    if not error.errors or any(fault.index is not None for fault in error.errors):
        return
    with suppress(HowdahError, SQLAlchemyError):
        question = _question(error, becoming())
        positions = question is not None and await ask(question)
        if positions:
            error.errors = tuple(
                replace(fault, index=position - 1)
                for position in sorted(positions)[:MOST_BLAMED]
                for fault in error.errors
            )


def _question(error: HowdahError, becoming: Becoming) -> ClauseElement | None:
    removed = isinstance(error, StillReferenced)
    if error.constraint is not None:
        if not removed and error.table != becoming.table.name:
            return None
        return culprits(becoming, error.constraint, removed=removed)
    if error.table != becoming.table.name:
        return None
    return without_value(becoming, error.errors[0].field)
