"""The repository over an AsyncSession."""

import builtins
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.base import Executable

from howdah.errors import Duplicate, NotFound
from howdah.paging import OffsetPage, Page
from howdah.repository.asking import Filters, SortBy, backward, ordered, paged
from howdah.repository.verbs import (
    NOTHING,
    M,
    Options,
    Values,
    Verbs,
    dumped,
    key_of,
)

__all__ = ("Repository",)


class Repository(Verbs[M]):
    """The rows of one model: `class Users(Repository[User])`, then `Users(session)`.

    Methods raise Howdah's errors; after one, the transaction is over unless the call
    stood inside `async with session.begin_nested()`.
    """

    def __init__(self, session: AsyncSession) -> None:
        super().__init__()
        self.session = session

    async def get(self, key: Any, *, lock: bool = False, options: Options = ()) -> M:
        """Return the row with this key, or raise NotFound.

        With lock=True other writers of it wait until this transaction ends. `options`
        are SQLAlchemy's, such as `selectinload(User.posts)`.
        """
        row = await self.find(key, lock=lock, options=options)
        if row is None:
            raise NotFound(model=self.model.__name__, key=key)
        return row

    async def find(
        self, key: Any, *, lock: bool = False, options: Options = ()
    ) -> M | None:
        """Return the row with this key, or None."""
        if not self._can_be(key):
            return None
        if options:
            # A row that the session knows would be given as it is, without them.
            found = await self.fetch(
                self._keyed([key], self._dialect, lock=lock, options=options)
            )
            return found[0] if found else None
        with self._translated():
            row: M | None = await self.session.get(
                self.model, key, with_for_update=True if lock else None
            )
        return row

    async def get_each(
        self, keys: Iterable[Any], *, lock: bool = False, options: Options = ()
    ) -> builtins.list[M]:
        """Return the rows with these keys in the order given, or raise NotFound.

        With lock=True other writers of them wait until this transaction ends. They are
        locked in the order of their keys, so that two who want the same rows take
        turns and no deadlock comes of it.
        """
        wanted = builtins.list(keys)
        found = self._keyed(wanted, self._dialect, lock=lock, options=options)
        return self._in_order(wanted, await self.fetch(found))

    async def list(
        self,
        *where: ColumnElement[bool],
        filters: Filters = NOTHING,
        sort: SortBy = "",
        page: Page | None = None,
        skip: int = 0,
        limit: int = 100,
        order_by: Sequence[Any] = (),
        options: Options = (),
    ) -> builtins.list[M]:
        """Return the rows that meet all conditions; the primary key breaks ties.

        A page stands instead of skip and limit; `order_by` takes SQLAlchemy's own
        expressions, before those of `sort`, and `options` its loaders of relations.
        """
        page = page or OffsetPage(skip=skip, limit=limit)
        found = self.select(*where, filters=filters).order_by(*order_by)
        found = found.options(*options)
        rows = await self.fetch(paged(self.model, found, sort, page))
        return rows[::-1] if backward(page) else rows

    async def first(
        self,
        *where: ColumnElement[bool],
        filters: Filters = NOTHING,
        sort: SortBy = "",
        options: Options = (),
    ) -> M | None:
        """Return the first of the rows that meet all conditions, or None."""
        rows = await self.list(
            *where, filters=filters, sort=sort, limit=1, options=options
        )
        return rows[0] if rows else None

    async def get_first(
        self,
        *where: ColumnElement[bool],
        filters: Filters = NOTHING,
        sort: SortBy = "",
        options: Options = (),
    ) -> M:
        """Return the first of the rows that meet all conditions, or raise NotFound."""
        row = await self.first(*where, filters=filters, sort=sort, options=options)
        if row is None:
            name = self.model.__name__
            raise NotFound(f"{name} not found", model=name)
        return row

    async def fetch(self, statement: Select[tuple[M]]) -> builtins.list[M]:
        """Return the rows of a SELECT of the model, each once."""
        return builtins.list((await self._execute(statement)).scalars().unique())

    async def stream(
        self,
        *where: ColumnElement[bool],
        filters: Filters = NOTHING,
        sort: SortBy = "",
        batch: int = 1000,
        options: Options = (),
    ) -> AsyncIterator[M]:
        """Yield rows through a server-side cursor, `batch` in memory at a time."""
        asked = self.select(*where, filters=filters).options(*options)
        found = ordered(self.model, asked, sort)
        with self._translated():
            rows = await self.session.stream_scalars(
                found.execution_options(yield_per=batch)
            )
            async for row in rows:
                yield row

    async def create(self, values: Values) -> M:
        """Insert a row and return it, with its key and what the database added."""
        return (await self.create_many([values]))[0]

    async def create_unless_taken(self, values: Values) -> M | None:
        """Insert a row and return it, or None where a value of it is taken.

        The transaction goes on: the row stands in a savepoint of its own.
        """
        try:
            async with self.session.begin_nested():
                return await self.create(values)
        except Duplicate:
            return None

    async def create_many(self, rows: Iterable[Values]) -> builtins.list[M]:
        """Insert rows, in as few statements as SQLAlchemy can, and return them."""
        created: builtins.list[M] = [self.model(**dumped(row)) for row in rows]
        self.session.add_all(created)
        await self._flush()
        return created

    async def upsert(self, values: Values, *, on: str | Sequence[str]) -> M:
        """Insert a row, or change the one that has the same values of these fields.

        They are the fields of a unique constraint or index, partial ones included;
        only the other fields that were set change.
        """
        return (await self.upsert_many([values], on=on))[0]

    async def upsert_many(
        self, rows: Iterable[Values], *, on: str | Sequence[str]
    ) -> builtins.list[M]:
        """Insert or change rows in one statement; all have to set the same fields."""
        changes = [dumped(row, set_only=True) for row in rows]
        if not changes:
            return []
        await self._flush()
        statement = self._upserted(changes, on, self._dialect)
        return await self.fetch(statement)

    async def update(self, key: Any, values: Values) -> M:
        """Change the fields that were set and no others, or raise NotFound."""
        changes = dumped(values, set_only=True)
        self._check(changes)
        row = await self.get(key)
        for name, value in changes.items():
            setattr(row, name, value)
        await self._flush()
        await self._reload(row)
        return row

    async def update_many(
        self,
        values: Values,
        *where: ColumnElement[bool],
        filters: Filters = NOTHING,
    ) -> int:
        """Change the rows that meet all conditions in one statement; say how many."""
        statement = self._updated(values, where, filters)
        if statement is None:
            return 0
        await self._flush()
        result: Any = await self._execute(statement)
        await self._reload_all()
        return int(result.rowcount)

    async def delete(self, key: Any) -> None:
        """Remove the row and what cascades from it, or raise NotFound."""
        await self.session.delete(await self.get(key))
        await self._flush()

    async def delete_many(
        self, *where: ColumnElement[bool], filters: Filters = NOTHING
    ) -> int:
        """Remove the rows that meet all conditions in one statement; say how many.

        What cascades is the database's business; without a condition it is refused.
        """
        await self._flush()
        result: Any = await self._execute(self._deleted(where, filters))
        return int(result.rowcount)

    async def count(
        self, *where: ColumnElement[bool], filters: Filters = NOTHING
    ) -> int:
        """Return how many rows meet all conditions."""
        return int((await self._execute(self._counted(where, filters))).scalar_one())

    async def exists(
        self, *where: ColumnElement[bool], filters: Filters = NOTHING
    ) -> bool:
        """Say whether any row meets all conditions."""
        return bool((await self._execute(self._existing(where, filters))).scalar_one())

    async def sum(
        self, column: Any, *where: ColumnElement[bool], filters: Filters = NOTHING
    ) -> Any:
        """Return the sum of a column or an expression; 0 where there is no row."""
        return (await self._execute(self._summed(column, where, filters))).scalar_one()

    async def aggregate(
        self,
        *where: ColumnElement[bool],
        filters: Filters = NOTHING,
        by: Sequence[Any] = (),
        having: Sequence[ColumnElement[bool]] = (),
        order_by: Sequence[Any] = (),
        **values: ColumnElement[Any],
    ) -> Sequence[Row[Any]]:
        """Return values computed over rows, one row for each group.

        `aggregate(by=[User.team_id], users=func.count(), having=[func.count() > 3])`
        gives rows with `team_id` and `users`.
        """
        statement = self._aggregated(where, filters, by, values)
        statement = statement.having(*having).order_by(*order_by)
        rows: Sequence[Row[Any]] = (await self._execute(statement)).all()
        return rows

    @property
    def _dialect(self) -> str:
        return self.session.get_bind().dialect.name

    async def _execute(self, statement: Executable) -> Any:
        with self._translated():
            # SQLModel's sessions deprecate `execute`; this is SQLAlchemy's own.
            return await AsyncSession.execute(self.session, statement)

    async def _flush(self) -> None:
        with self._translated():
            await self.session.flush()

    async def _reload(self, row: M) -> None:
        """Fetch what the database computed, which a later read could not."""
        state: Any = inspect(row)
        if state.expired_attributes:
            with self._translated():
                await self.session.refresh(row, state.expired_attributes)

    async def _reload_all(self) -> None:
        """Fetch what a statement has computed for rows that the session holds."""
        stale = [
            row
            for row in self.session.identity_map.values()
            if isinstance(row, self.model) and inspect(row).expired_attributes
        ]
        if stale:
            await self.fetch(self._keyed([*map(key_of, stale)], self._dialect))
