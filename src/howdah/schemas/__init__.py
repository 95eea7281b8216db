"""Schemas that a model's own columns make, and what they say of rows. No statement.

columns.py  a column -> the type of what people send, see and filter by
owned.py    which columns the server fills, and which defaults people may lean on
derived.py  a model -> the schemas to create, update and read its rows
"""

from howdah.schemas.columns import (
    enum_values,
    filter_type,
    is_own_rule,
    is_readable,
    plain_type,
    read_type,
    write_type,
)
from howdah.schemas.derived import (
    absent,
    create_fields,
    create_schema,
    holds_secret,
    is_hidden,
    read_schema,
    update_fields,
    update_schema,
)
from howdah.schemas.forms import exact_fields, inexpressible
from howdah.schemas.owned import has_default, is_made, is_server_owned
from howdah.schemas.parts import inside, parts
from howdah.schemas.strict import strict

__all__ = (
    "absent",
    "create_fields",
    "create_schema",
    "enum_values",
    "exact_fields",
    "filter_type",
    "has_default",
    "holds_secret",
    "inexpressible",
    "inside",
    "is_hidden",
    "is_made",
    "is_own_rule",
    "is_readable",
    "is_server_owned",
    "parts",
    "plain_type",
    "read_schema",
    "read_type",
    "strict",
    "update_fields",
    "update_schema",
    "write_type",
)
