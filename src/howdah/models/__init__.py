"""Column types and mixins for people's models, and what models tell of themselves.

For SQLModel (`...Fields`), for SQLAlchemy declarative (`...Columns`), and for documents
of MongoDB, whose fields are described as columns. Knows no statement and no connection.

    values.py     exact money, bytes in JSON, secrets
    mixins.py     timestamps, marks of deletion, what is unique while active
    metadata.py   what a table's metadata tells
    described.py  a column type for what SQL has no type for
    finding.py    a MongoDB query as a condition of columns
    documents.py  a document's fields as the columns of a table
    mapped.py     a model's columns and relations, of whatever kind it is
"""

from howdah.models.described import Described
from howdah.models.documents import OnUpdate, is_document
from howdah.models.finding import condition_of
from howdah.models.mapped import (
    declared_model,
    field_info,
    mapped_columns,
    relation_of,
    relationships,
    row_rules,
    table_of,
)
from howdah.models.metadata import (
    constraint_fields,
    constraint_named,
    idempotency_table,
    kept_answers,
    python_type,
    unique_where,
)
from howdah.models.mixins import (
    DeletedAtColumns,
    DeletedAtFields,
    SoftDeleteColumns,
    SoftDeleteFields,
    TimestampColumns,
    TimestampFields,
    unique_while_active,
)
from howdah.models.values import (
    SECRET,
    Base64,
    Money,
    OptionalMoney,
    is_secret,
    secret,
)
from howdah.stored import Moment

__all__ = (
    "SECRET",
    "Base64",
    "DeletedAtColumns",
    "DeletedAtFields",
    "Described",
    "Moment",
    "Money",
    "OnUpdate",
    "OptionalMoney",
    "SoftDeleteColumns",
    "SoftDeleteFields",
    "TimestampColumns",
    "TimestampFields",
    "condition_of",
    "constraint_fields",
    "constraint_named",
    "declared_model",
    "field_info",
    "idempotency_table",
    "is_document",
    "is_secret",
    "kept_answers",
    "mapped_columns",
    "python_type",
    "relation_of",
    "relationships",
    "row_rules",
    "secret",
    "table_of",
    "unique_where",
    "unique_while_active",
)
