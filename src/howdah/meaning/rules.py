"""What a row has to meet by itself: NOT NULL, and the checks of its table."""

from sqlalchemy import CheckConstraint, Table

from howdah.errors import Misconfigured, from_sqlstate
from howdah.meaning.expressions import Moment, Values, reader

__all__ = ("check_row",)


def check_row(table: Table, values: Values, now: Moment) -> None:
    """Raise Invalid where a value is missing or breaks a rule of the table.

    A rule that is written as text, or needs a database, cannot be told here, and is
    passed over.
    """
    for column in table.columns:
        if values[column] is None and not column.nullable:
            raise from_sqlstate("23502", table=table.name, column=column.name)
    for rule in table.constraints:
        if isinstance(rule, CheckConstraint) and _breaks(rule, values, now):
            error = from_sqlstate("23514", constraint=str(rule.name), table=table.name)
            raise error.naming(tuple(column.name for column in rule.columns))


def _breaks(rule: CheckConstraint, values: Values, now: Moment) -> bool:
    try:
        return reader(rule.sqltext)(values, now) is False
    except Misconfigured:
        return False
