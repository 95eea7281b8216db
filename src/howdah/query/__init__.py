"""What is asked of a resource: filters, sort, search, what to show. No SQL.

asked.py       the query itself: frozen facts
fields.py      what may be filtered by, and which operators its type has
faults.py      what is wrong with a request, collected
parameters.py  one parameter: text or JSON into a value, and what OpenAPI says of it
language.py    all that one resource understands
"""

from howdah.query.asked import SHOW_ALL, Count, Filter, Query, Show, Sort
from howdah.query.faults import Faults, nearest
from howdah.query.fields import OPERATORS, Field, Operator
from howdah.query.language import RESERVED, Language
from howdah.query.parameters import only

__all__ = (
    "OPERATORS",
    "RESERVED",
    "SHOW_ALL",
    "Count",
    "Faults",
    "Field",
    "Filter",
    "Language",
    "Operator",
    "Query",
    "Show",
    "Sort",
    "nearest",
    "only",
)
