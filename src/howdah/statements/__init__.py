"""What is asked, as SQLAlchemy Core statements with named parameters. Pure.

Every statement is one round trip and returns the JSON that goes to the client. No
value stands in any of them: a statement depends on the shape of a request alone, so
it can be compiled once (`fast`) and filled in for ever.

    scope.py       the condition that limits which rows a caller may touch
    layout.py      what a resource shows of a table
    shown.py       columns and rows as the JSON that schemas describe
    places.py      values by name, or carried by the statement
    conditions.py  filters and search -> WHERE
    order.py       sort and position -> ORDER BY and what lies behind a position
    reading.py     get, list, count
    writing.py     create, update, delete, restore
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
from howdah.statements.order import Part, order, order_columns, position_name
from howdah.statements.reading import count, get, list_rows
from howdah.statements.scope import Scope, guard
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
    "MATCH",
    "ColumnOfRows",
    "Layout",
    "Part",
    "Scope",
    "Target",
    "count",
    "create",
    "create_many",
    "filter_name",
    "filter_values",
    "get",
    "guard",
    "hard_delete",
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
