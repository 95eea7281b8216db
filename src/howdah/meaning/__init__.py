"""What columns, defaults and conditions mean, in plain Python: for rows outside of SQL.

    columns.py      what a column takes, and how its values compare
    defaults.py     what a column has where nothing is given
    operators.py    what each operator of a filter means
    expressions.py  simple conditions of SQLAlchemy, evaluated on a row
    rules.py        NOT NULL, checks

It means what PostgreSQL means with the collation C.UTF-8, which tests/contract holds.
"""

from howdah.meaning.columns import asked, comparable, taken
from howdah.meaning.defaults import (
    Default,
    creation_default,
    numbers,
    update_default,
)
from howdah.meaning.expressions import Moment, Reader, Values, like_pattern, reader
from howdah.meaning.operators import MEANINGS, Truth, any_of
from howdah.meaning.rules import check_row

__all__ = (
    "MEANINGS",
    "Default",
    "Moment",
    "Reader",
    "Truth",
    "Values",
    "any_of",
    "asked",
    "check_row",
    "comparable",
    "creation_default",
    "like_pattern",
    "numbers",
    "reader",
    "taken",
    "update_default",
)
