"""Which errors of the database are the fault of one row, and how to say so.

A lost connection or a missing table is nobody's row: that ends the load.
"""

import re
from collections.abc import Callable

import asyncpg
from sqlalchemy import Table

from howdah.drivers import translate
from howdah.errors import Conflict
from howdah.load.records import Fault
from howdah.models import constraint_fields

__all__ = ("REFUSALS", "fault_of", "place_of", "reason_of")

# Classes 22 and 23, the check option of a view, what a trigger raises; and the values
# that the driver itself could not put into the column's binary form.
REFUSALS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.WithCheckOptionViolationError,
    asyncpg.RaiseError,
    ValueError,
    TypeError,
    OverflowError,
)

# "COPY items, line 7, column price" where PostgreSQL knows the row.
_CONTEXT = re.compile(r"^COPY .+?, line (\d+)(?:, column ([^:\n]+))?", re.MULTILINE)


def fault_of(exc: BaseException, table: Table, name_of: Callable[[str], str]) -> Fault:
    """Return the column and the reason for which the table refused a row."""
    columns = constraint_fields(getattr(exc, "constraint_name", None), [table])
    column = getattr(exc, "column_name", None) or _column(exc)
    if column is not None and not columns:
        columns = (column,)
    names = ", ".join(map(name_of, columns))
    return Fault(names or None, reason_of(exc))


def reason_of(exc: BaseException) -> str:
    """Return the reason for a person; it holds no value of the row."""
    if isinstance(exc, asyncpg.RaiseError):
        return str(exc.args[0])
    if isinstance(exc, asyncpg.NotNullViolationError):
        return "is required and has no value"
    if isinstance(exc, asyncpg.CheckViolationError):
        return f"breaks the rule {exc.constraint_name}"
    if not isinstance(exc, asyncpg.PostgresError):
        return "does not fit the type of its column"
    error = translate(exc)
    return error.field_message if isinstance(error, Conflict) else error.message


def place_of(exc: BaseException) -> int | None:
    """Return which row of a COPY failed, from 0, where PostgreSQL says so."""
    found = _CONTEXT.search(getattr(exc, "context", None) or "")
    return int(found[1]) - 1 if found else None


def _column(exc: BaseException) -> str | None:
    found = _CONTEXT.search(getattr(exc, "context", None) or "")
    return found[2] if found else None
