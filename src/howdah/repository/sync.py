"""The same repository without `await`, for sync endpoints and scripts."""

import builtins
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, inspect
from sqlalchemy.orm import Session
from sqlalchemy.sql.base import Executable

from howdah.errors import Duplicate, NotFound
from howdah.paging import OffsetPage, Page
from howdah.repository.asking import Filters, SortBy, backward, ordered, paged
from howdah.repository.verbs import NOTHING, M, Options, Values, Verbs, dumped

__all__ = ("SyncRepository",)


class SyncRepository(Verbs[M]):
    """The rows of one model: `class Users(SyncRepository[User])`, `Users(session)`.

    Each method is that of `Repository`, without `await`.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def get(self, key: Any, *, lock: bool = False, options: Options = ()) -> M:
        """Return the row with this key, or raise NotFound."""
        row = self.find(key, lock=lock, options=options)
        if row is None:
            raise NotFound(model=self.model.__name__, key=key)
        return row

    def find(self, key: Any, *, lock: bool = False, options: Options = ()) -> M | None:
        """Return the row with this key, or None."""
        if not self._can_be(key):
            return None
        if options:
            # A row that the session knows would be given as it is, without them.
            found = self.fetch(
                self._keyed([key], self._dialect, lock=lock, options=options)
            )
            return found[0] if found else None
        with self._translated():
            row: M | None = self.session.get(
                self.model, key, with_for_update=True if lock else None
            )
        return row

    def get_each(
        self, keys: Iterable[Any], *, lock: bool = False, options: Options = ()
    ) -> builtins.list[M]:
        """Return the rows with these keys in the order given, or raise NotFound."""
        wanted = builtins.list(keys)
        found = self._keyed(wanted, self._dialect, lock=lock, options=options)
        return self._in_order(wanted, self.fetch(found))

    def list(
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
        """Return the rows that meet all conditions; the primary key breaks ties."""
        page = page or OffsetPage(skip=skip, limit=limit)
        found = self.select(*where, filters=filters).order_by(*order_by)
        found = found.options(*options)
        rows = self.fetch(paged(self.model, found, sort, page))
        return rows[::-1] if backward(page) else rows

    def first(
        self,
        *where: ColumnElement[bool],
        filters: Filters = NOTHING,
        sort: SortBy = "",
        options: Options = (),
    ) -> M | None:
        """Return the first of the rows that meet all conditions, or None."""
        rows = self.list(*where, filters=filters, sort=sort, limit=1, options=options)
        return rows[0] if rows else None

    def get_first(
        self,
        *where: ColumnElement[bool],
        filters: Filters = NOTHING,
        sort: SortBy = "",
        options: Options = (),
    ) -> M:
        """Return the first of the rows that meet all conditions, or raise NotFound."""
        row = self.first(*where, filters=filters, sort=sort, options=options)
        if row is None:
            name = self.model.__name__
            raise NotFound(f"{name} not found", model=name)
        return row

    def fetch(self, statement: Select[tuple[M]]) -> builtins.list[M]:
        """Return the rows of a SELECT of the model, each once."""
        return builtins.list(self._execute(statement).scalars().unique())

    def stream(
        self,
        *where: ColumnElement[bool],
        filters: Filters = NOTHING,
        sort: SortBy = "",
        batch: int = 1000,
        options: Options = (),
    ) -> Iterator[M]:
        """Yield rows through a server-side cursor, `batch` in memory at a time."""
        asked = self.select(*where, filters=filters).options(*options)
        found = ordered(self.model, asked, sort)
        with self._translated():
            yield from self._execute(found.execution_options(yield_per=batch)).scalars()

    def create(self, values: Values) -> M:
        """Insert a row and return it, with its key and what the database added."""
        return self.create_many([values])[0]

    def create_unless_taken(self, values: Values) -> M | None:
        """Insert a row and return it, or None where a value of it is taken."""
        try:
            with self.session.begin_nested():
                return self.create(values)
        except Duplicate:
            return None

    def create_many(self, rows: Iterable[Values]) -> builtins.list[M]:
        """Insert rows, in as few statements as SQLAlchemy can, and return them."""
        created: builtins.list[M] = [self.model(**dumped(row)) for row in rows]
        self.session.add_all(created)
        self._flush()
        return created

    def upsert(self, values: Values, *, on: str | Sequence[str]) -> M:
        """Insert a row, or change the one that has the same values of these fields."""
        return self.upsert_many([values], on=on)[0]

    def upsert_many(
        self, rows: Iterable[Values], *, on: str | Sequence[str]
    ) -> builtins.list[M]:
        """Insert or change rows in one statement; all have to set the same fields."""
        changes = [dumped(row, set_only=True) for row in rows]
        if not changes:
            return []
        self._flush()
        statement = self._upserted(changes, on, self._dialect)
        return self.fetch(statement)

    def update(self, key: Any, values: Values) -> M:
        """Change the fields that were set and no others, or raise NotFound."""
        changes = dumped(values, set_only=True)
        self._check(changes)
        row = self.get(key)
        for name, value in changes.items():
            setattr(row, name, value)
        self._flush()
        self._reload(row)
        return row

    def update_many(
        self,
        values: Values,
        *where: ColumnElement[bool],
        filters: Filters = NOTHING,
    ) -> int:
        """Change the rows that meet all conditions in one statement; say how many."""
        statement = self._updated(values, where, filters)
        if statement is None:
            return 0
        self._flush()
        return int(self._execute(statement).rowcount)

    def delete(self, key: Any) -> None:
        """Remove the row and what cascades from it, or raise NotFound."""
        self.session.delete(self.get(key))
        self._flush()

    def delete_many(
        self, *where: ColumnElement[bool], filters: Filters = NOTHING
    ) -> int:
        """Remove the rows that meet all conditions in one statement; say how many."""
        self._flush()
        return int(self._execute(self._deleted(where, filters)).rowcount)

    def count(self, *where: ColumnElement[bool], filters: Filters = NOTHING) -> int:
        """Return how many rows meet all conditions."""
        return int(self._execute(self._counted(where, filters)).scalar_one())

    def exists(self, *where: ColumnElement[bool], filters: Filters = NOTHING) -> bool:
        """Say whether any row meets all conditions."""
        return bool(self._execute(self._existing(where, filters)).scalar_one())

    def sum(
        self, column: Any, *where: ColumnElement[bool], filters: Filters = NOTHING
    ) -> Any:
        """Return the sum of a column or an expression; 0 where there is no row."""
        return self._execute(self._summed(column, where, filters)).scalar_one()

    def aggregate(
        self,
        *where: ColumnElement[bool],
        filters: Filters = NOTHING,
        by: Sequence[Any] = (),
        having: Sequence[ColumnElement[bool]] = (),
        order_by: Sequence[Any] = (),
        **values: ColumnElement[Any],
    ) -> Sequence[Row[Any]]:
        """Return values computed over rows, one row for each group."""
        statement = self._aggregated(where, filters, by, values)
        statement = statement.having(*having).order_by(*order_by)
        rows: Sequence[Row[Any]] = self._execute(statement).all()
        return rows

    @property
    def _dialect(self) -> str:
        return self.session.get_bind().dialect.name

    def _execute(self, statement: Executable) -> Any:
        with self._translated():
            # SQLModel's sessions deprecate `execute`; this is SQLAlchemy's own.
            return Session.execute(self.session, statement)

    def _flush(self) -> None:
        with self._translated():
            self.session.flush()

    def _reload(self, row: M) -> None:
        """Fetch what the database computed, as the asynchronous door has to."""
        state: Any = inspect(row)
        if state.expired_attributes:
            with self._translated():
                self.session.refresh(row, state.expired_attributes)
