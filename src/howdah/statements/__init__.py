"""What is asked, as SQLAlchemy Core statements with named parameters. Pure.

Every statement is one round trip and returns the JSON that goes to the client. No
value stands in any of them: a statement depends on the shape of a request alone, so
it can be compiled once (`fast`) and filled in for ever.

    layout.py      what a resource shows of a table
    shown.py       columns and rows as the JSON that schemas describe
    places.py      values by name, or carried by the statement
    conditions.py  filters and search -> WHERE
    order.py       sort and position -> ORDER BY and what lies behind a position
    reading.py     get, list, count
    writing.py     create, update, delete, restore
    once.py        creations whose answer is kept for who asks again
"""

from howdah.statements.conditions import filter_name, filter_values
from howdah.statements.layout import (
    MATCH,
    ColumnOfRows,
    Layout,
    Target,
    key_name,
    key_values,
)
from howdah.statements.once import (
    FINGERPRINT,
    ONCE,
    TURN,
    create_many_once,
    create_once,
    kept_answer,
)
from howdah.statements.order import Part, order, order_columns, position_name
from howdah.statements.reading import count, get, list_rows
from howdah.statements.writing import (
    create,
    create_many,
    hard_delete,
    restore,
    soft_delete,
    update_row,
    value_name,
)

__all__ = (
    "FINGERPRINT",
    "MATCH",
    "ONCE",
    "TURN",
    "ColumnOfRows",
    "Layout",
    "Part",
    "Target",
    "count",
    "create",
    "create_many",
    "create_many_once",
    "create_once",
    "filter_name",
    "filter_values",
    "get",
    "hard_delete",
    "kept_answer",
    "key_name",
    "key_values",
    "list_rows",
    "order",
    "order_columns",
    "position_name",
    "restore",
    "soft_delete",
    "update_row",
    "value_name",
)
