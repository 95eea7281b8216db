"""Schemas that a model's own columns make, and what they say of rows. No statement.

columns.py  a column -> the type of what people send, see and filter by
owned.py    which columns the server fills, and which defaults people may lean on
derived.py  a model -> the schemas to create, update and read its rows
"""

from howdah.schemas.columns import filter_type, read_type, write_type
from howdah.schemas.derived import create_schema, read_schema, update_schema
from howdah.schemas.owned import has_default, is_made, is_server_owned

__all__ = (
    "create_schema",
    "filter_type",
    "has_default",
    "is_made",
    "is_server_owned",
    "read_schema",
    "read_type",
    "update_schema",
    "write_type",
)
