"""Indexes built while others read and write.

CREATE INDEX keeps writers out until it is done, which is minutes on a large table.
CONCURRENTLY lets them in, but takes longer, may not stand in a transaction, and leaves
an index that serves nobody where it fails.
"""

from typing import Any

from alembic import op
from sqlalchemy import text

__all__ = ("create_index_concurrently",)


def create_index_concurrently(
    name: str, table: str, columns: list[Any], **options: Any
) -> None:
    """Do what `op.create_index` does, without keeping writers out of the table.

    It ends the transaction of the migration before it and begins another behind it,
    so give it a revision of its own. The limits of migrations are off meanwhile: it
    waits for transactions that are older than itself, and blocks nobody. What an
    attempt that failed has left is dropped first, so run a failed one again.
    """
    context = op.get_context()
    with context.autocommit_block():
        kept = _without_limits()
        try:
            if not context.as_sql and _is_broken(name, options.get("schema")):
                op.drop_index(
                    name,
                    table,
                    schema=options.get("schema"),
                    postgresql_concurrently=True,
                )
            op.create_index(
                name, table, columns, postgresql_concurrently=True, **options
            )
        finally:
            for limit, value in kept.items():
                op.execute(f"SET {limit} = '{value}'" if value else f"RESET {limit}")


_LIMITS = ("lock_timeout", "statement_timeout")


def _without_limits() -> dict[str, str]:
    """Take the session's limits off; return what they were, where it can be known."""
    sql_only = op.get_context().as_sql
    kept = {
        name: "" if sql_only else str(op.get_bind().scalar(text(f"SHOW {name}")))
        for name in _LIMITS
    }
    for name in _LIMITS:
        op.execute(f"SET {name} = 0")
    return kept


def _is_broken(name: str, schema: str | None) -> bool:
    """Say whether an attempt that failed has left an index that serves nobody."""
    broken = text(
        "SELECT true FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE relname = :name AND NOT indisvalid "
        "AND nspname = coalesce(:schema, current_schema())"
    )
    return bool(op.get_bind().scalar(broken, {"name": name, "schema": schema}))
