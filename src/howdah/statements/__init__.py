"""What is asked, as SQLAlchemy Core statements with named parameters. Pure.

Every statement is one round trip and returns the JSON that goes to the client. No
value stands in any of them: a statement depends on the shape of a request alone, so
it can be compiled once (`fast`) and filled in for ever.

    shapes.py      what a condition depends on, told from its values
    scope.py       the condition that limits which rows a caller may touch
    layout.py      what a resource shows of a table
    forms.py       a column as PostgreSQL writes it into JSON
    shown.py       columns and rows as the JSON that schemas describe
    embedded.py    related rows inside of a row's JSON
    places.py      values by name, or carried by the statement
    conditions.py  filters and search -> WHERE
    order.py       sort and position -> ORDER BY and what lies behind a position
    bounds.py      how many rows, in the statement or as a parameter
    slices.py      the rows of one page, range by range of an index
    reading.py     get, list, count
    writing.py     create, update, delete, restore
    once.py        creations whose answer is kept for who asks again
    given.py       the rows of a batch as a table
    many.py        create, update, delete, of many rows
    upserting.py   insert, or change what is in the way
    linking.py     relations of many to many
    culprits.py    which rows of a batch break a rule
"""

from howdah.statements.bounds import Bounds
from howdah.statements.conditions import filter_name, filter_values
from howdah.statements.culprits import Becoming, alike, culprits, without_value
from howdah.statements.given import ROWS, given_rows, sent_name, value_name
from howdah.statements.layout import (
    MATCH,
    ColumnOfRows,
    Embed,
    Layout,
    Target,
    array_type,
    key_name,
    key_values,
)
from howdah.statements.linking import (
    IDS,
    Change,
    Link,
    is_visible,
    reachable,
    relate,
    related,
)
from howdah.statements.many import create_many, delete_many, update_many
from howdah.statements.once import (
    FINGERPRINT,
    ONCE,
    TURN,
    answer_place,
    create_many_once,
    create_once,
    kept_answer,
    turn_number,
)
from howdah.statements.order import Part, order, order_columns, position_name
from howdah.statements.reading import (
    SEPARATOR,
    count,
    found,
    get,
    list_rows,
    place_names,
)
from howdah.statements.scope import Scope, guard
from howdah.statements.upserting import (
    change_name,
    touch_name,
    upsert,
    upsert_many,
)
from howdah.statements.writing import (
    create,
    hard_delete,
    restore,
    soft_delete,
    update_row,
)

__all__ = (
    "FINGERPRINT",
    "IDS",
    "MATCH",
    "ONCE",
    "ROWS",
    "SEPARATOR",
    "TURN",
    "Becoming",
    "Bounds",
    "Change",
    "ColumnOfRows",
    "Embed",
    "Layout",
    "Link",
    "Part",
    "Scope",
    "Target",
    "alike",
    "answer_place",
    "array_type",
    "change_name",
    "count",
    "create",
    "create_many",
    "create_many_once",
    "create_once",
    "culprits",
    "delete_many",
    "filter_name",
    "filter_values",
    "found",
    "get",
    "given_rows",
    "guard",
    "hard_delete",
    "is_visible",
    "kept_answer",
    "key_name",
    "key_values",
    "list_rows",
    "order",
    "order_columns",
    "place_names",
    "position_name",
    "reachable",
    "relate",
    "related",
    "restore",
    "sent_name",
    "soft_delete",
    "touch_name",
    "turn_number",
    "update_many",
    "update_row",
    "upsert",
    "upsert_many",
    "value_name",
    "without_value",
)
