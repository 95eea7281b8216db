"""What `alembic revision --autogenerate` writes: revisions that run as they are.

Alembic knows tables; it does not know what an index needs to exist.
"""

from collections.abc import Callable, Iterable
from typing import Any

from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from sqlmodel.sql.sqltypes import AutoString

from howdah.search import TRIGRAMS

__all__ = ("render_item", "with_extensions")

Directives = Callable[[Any, Any, list[ops.MigrationScript]], None]


def render_item(kind: str, item: Any, _context: AutogenContext) -> str | bool:
    """Write SQLModel's strings as SQLAlchemy's: a revision imports no sqlmodel."""
    if kind != "type" or not isinstance(item, AutoString):
        return False
    length = getattr(item, "length", None) or getattr(item.impl, "length", None)
    return f"sa.String(length={length})" if length else "sa.String()"


def with_extensions(theirs: Directives | None) -> Directives:
    """Let a revision that makes a trigram index make its extension first.

    The way back leaves it: others may use it by then.
    """

    def process(
        context: Any, revision: Any, directives: list[ops.MigrationScript]
    ) -> None:
        for script in directives:
            for upgrade in script.upgrade_ops_list:
                if any(_has_trigrams(operation) for operation in _all(upgrade.ops)):
                    upgrade.ops.insert(0, ops.ExecuteSQLOp(TRIGRAMS))
        if theirs is not None:
            theirs(context, revision, directives)

    return process


def _all(operations: Iterable[ops.MigrateOperation]) -> Iterable[ops.MigrateOperation]:
    for operation in operations:
        yield operation
        if isinstance(operation, ops.OpContainer):
            yield from _all(operation.ops)


def _has_trigrams(operation: ops.MigrateOperation) -> bool:
    if not isinstance(operation, ops.CreateIndexOp):
        return False
    classes = operation.kw.get("postgresql_ops") or {}
    return any("_trgm_ops" in name for name in classes.values())
