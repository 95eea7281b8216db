"""Rows as objects: the verbs of a resource for people's own code, over a session.

The session's owner commits, so several repositories make one unit of work. Whatever
is missing here is plain SQLAlchemy on `self.session`.
"""

import builtins
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from howdah.drivers import translated
from howdah.errors import HowdahError, Misconfigured, NotFound
from howdah.models import constraint_fields, declared_model

__all__ = ("Repository",)

M = TypeVar("M")
Values = BaseModel | Mapping[str, Any]


class Repository(Generic[M]):
    """The rows of one model: `class Users(Repository[User])`, then `Users(session)`.

    Methods raise Howdah's errors; after one, the transaction is over unless the call
    stood inside `async with session.begin_nested()`.
    """

    model: ClassVar[type[Any]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        model = declared_model(cls)
        if model is not None:
            cls.model = model

    def __init__(self, session: AsyncSession) -> None:
        if not hasattr(self, "model"):
            name = type(self).__name__
            raise Misconfigured(
                f"{name} has no model; declare it as class {name}(Repository[Model])"
            )
        self.session = session

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model.__name__})"

    async def get(self, key: Any, *, lock: bool = False) -> M:
        """Return the row with this key, or raise NotFound.

        With lock=True other writers of it wait until this transaction ends.
        """
        row = await self.find(key, lock=lock)
        if row is None:
            raise NotFound(model=self.model.__name__, key=key)
        return row

    async def find(self, key: Any, *, lock: bool = False) -> M | None:
        """Return the row with this key, or None."""
        with self._translated():
            row: M | None = await self.session.get(
                self.model, key, with_for_update=True if lock else None
            )
        return row

    async def list(
        self,
        *where: ColumnElement[bool],
        skip: int = 0,
        limit: int = 100,
        order_by: Sequence[Any] = (),
    ) -> builtins.list[M]:
        """Return the rows that meet all conditions; the primary key breaks ties."""
        statement = (
            select(self.model)
            .where(*where)
            .order_by(*order_by, *inspect(self.model).primary_key)
            .offset(skip)
            .limit(limit)
        )
        with self._translated():
            # SQLModel's sessions deprecate `execute`, and `scalars` calls it.
            result = await AsyncSession.execute(self.session, statement)
        return builtins.list(result.scalars().unique())

    async def create(self, values: Values) -> M:
        """Insert a row and return it, with its key and what the database added."""
        return (await self.create_many([values]))[0]

    async def create_many(self, rows: Iterable[Values]) -> builtins.list[M]:
        """Insert rows, in as few statements as SQLAlchemy can, and return them."""
        created: builtins.list[M] = [self.model(**_given(row)) for row in rows]
        self.session.add_all(created)
        await self._flush()
        return created

    async def update(self, key: Any, values: Values) -> M:
        """Change the fields that were set and no others, or raise NotFound."""
        changes = _given(values, set_only=True)
        self._check(changes)
        row = await self.get(key)
        for name, value in changes.items():
            setattr(row, name, value)
        await self._flush()
        await self._reload(row)
        return row

    async def delete(self, key: Any) -> None:
        """Remove the row and what cascades from it, or raise NotFound."""
        await self.session.delete(await self.get(key))
        await self._flush()

    async def count(self, *where: ColumnElement[bool]) -> int:
        """Return how many rows meet all conditions."""
        statement = select(func.count()).select_from(self.model).where(*where)
        with self._translated():
            return int(await self.session.scalar(statement) or 0)

    async def exists(self, *where: ColumnElement[bool]) -> bool:
        """Say whether any row meets all conditions."""
        statement = select(select(self.model).where(*where).exists())
        with self._translated():
            return bool(await self.session.scalar(statement))

    def _check(self, names: Iterable[str]) -> None:
        known = inspect(self.model).all_orm_descriptors
        unknown = [name for name in names if name not in known]
        if unknown:
            raise Misconfigured(
                f"{self.model.__name__} has no {', '.join(unknown)}; it has "
                f"{', '.join(sorted(known.keys()))}"
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise Howdah's errors, with the names of the fields that are to blame."""
        try:
            with translated():
                yield
        except HowdahError as error:
            tables = inspect(self.model).local_table.metadata.tables.values()
            error.naming(constraint_fields(error.constraint, tables))
            raise

    async def _flush(self) -> None:
        with self._translated():
            await self.session.flush()

    async def _reload(self, row: M) -> None:
        """Fetch what the database computed, which a later read could not."""
        state: Any = inspect(row)
        if state.expired_attributes:
            with self._translated():
                await self.session.refresh(row, state.expired_attributes)


def _given(values: Values, *, set_only: bool = False) -> dict[str, Any]:
    if isinstance(values, BaseModel):
        return values.model_dump(exclude_unset=set_only)
    return dict(values)
