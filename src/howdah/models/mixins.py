"""What models take in: timestamps, marks of deletion, what is unique while active."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Boolean, DateTime, Index, event, func, true
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import quoted_name
from sqlmodel import Field, SQLModel

from howdah.errors import Misconfigured
from howdah.models.metadata import joined
from howdah.stored import Moment

__all__ = (
    "DeletedAtColumns",
    "DeletedAtFields",
    "SoftDeleteColumns",
    "SoftDeleteFields",
    "TimestampColumns",
    "TimestampFields",
    "unique_while_active",
)


class TimestampFields(SQLModel):
    """`created_at` and `updated_at` for SQLModel, kept by the database's clock."""

    # Without it, reading `updated_at` after an update would be a hidden query.
    __mapper_args__: ClassVar[dict[str, Any]] = {"eager_defaults": True}

    created_at: Moment = Field(
        default=None, nullable=False, sa_column_kwargs={"server_default": func.now()}
    )
    updated_at: Moment | None = Field(
        default=None, sa_column_kwargs={"onupdate": func.now()}
    )


class SoftDeleteFields(SQLModel):
    """`is_active` for SQLModel: false is a deleted row that can be restored."""

    is_active: bool = Field(default=True, sa_column_kwargs={"server_default": true()})


class DeletedAtFields(SQLModel):
    """`deleted_at` for SQLModel: the moment in which the row was deleted."""

    deleted_at: Moment | None = Field(default=None, sa_type=DateTime(timezone=True))


class TimestampColumns:
    """`created_at` and `updated_at` for declarative, kept by the database's clock."""

    __mapper_args__: ClassVar[dict[str, Any]] = {"eager_defaults": True}

    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    updated_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), onupdate=func.now()
    )


@event.listens_for(TimestampColumns, "before_insert", propagate=True)
def _not_changed_yet(_mapper: Any, _connection: Any, row: Any) -> None:
    """Say what an INSERT leaves NULL, or SQLAlchemy would ask for it, row by row."""
    vars(row).setdefault("updated_at", None)


class SoftDeleteColumns:
    """`is_active` for declarative: false is a deleted row that can be restored."""

    is_active: Mapped[bool] = mapped_column(
        Boolean, default=True, server_default=true()
    )


class DeletedAtColumns:
    """`deleted_at` for declarative: the moment in which the row was deleted."""

    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


def unique_while_active(*fields: str, soft_delete: str = "is_active") -> Index:
    """Return an index for `__table_args__`: values are unique among rows not deleted.

    `soft_delete` is the column that marks deleted rows, a boolean or a moment.
    """
    return _ActiveIndex(fields, soft_delete)


class _ActiveIndex(Index):
    """A partial unique index that reads its condition and name off its table."""

    inherit_cache = False

    def __init__(self, fields: tuple[str, ...], mark: str) -> None:
        self._mark = mark
        super().__init__(None, *fields, unique=True)

    def _set_parent(self, parent: Any, **options: Any) -> None:
        mark = parent.columns.get(self._mark)
        if mark is None:
            raise Misconfigured(
                f"table {parent.name!r} has no column {self._mark!r}; name the one "
                "that marks deleted rows: unique_while_active(..., soft_delete=...)"
            )
        super()._set_parent(parent, **options)
        active = mark if isinstance(mark.type, Boolean) else mark.is_(None)
        for dialect in ("postgresql", "sqlite"):
            self.dialect_options[dialect]["where"] = active
        columns = "_".join(("", *(column.name for column in self.columns)))
        self.name = quoted_name(joined(parent.name, columns, "_active_key"), None)
