"""The store over the ORM: a session and a transaction of its own for each action."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

from pydantic_core import to_json
from sqlalchemy import (
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    False_,
    Integer,
    True_,
    delete,
    false,
    func,
    select,
)
from sqlalchemy.orm import Session, lazyload

from howdah.bulk import known_by, missing_rows, refuse_twice, split_keys
from howdah.database import Database
from howdah.errors import (
    Duplicate,
    HowdahError,
    Invalid,
    Misconfigured,
    MissingReference,
    NotFound,
    StaleVersion,
    StillReferenced,
    from_sqlstate,
)
from howdah.limits import holds, largest, too_large, too_long
from howdah.models import constraint_fields, unique_where
from howdah.orm.fitting import fitted
from howdah.orm.found import Finder, Found, execute
from howdah.orm.linked import linked, relink
from howdah.orm.once import keep_answer, take_turn
from howdah.orm.references import explained
from howdah.orm.shown import Shown
from howdah.orm.written import changed, deletes_by_itself, made, touched
from howdah.paging import OffsetPage, Page, Slice
from howdah.query import SHOW_ALL, Filter, Query, Show
from howdah.rendering import position_text, read_position
from howdah.statements import (
    Layout,
    Part,
    filter_values,
    order,
    order_columns,
    position_name,
)
from howdah.statements.conditions import WORDS, conditions
from howdah.statements.layout import is_readable
from howdah.statements.order import behind
from howdah.statements.places import Filled
from howdah.store import NO_CONDITIONS, Change, Match, Once, Row

__all__ = ("OrmStore",)

T = TypeVar("T")
OUT_OF_SCOPE = "2201G"
# How often an upsert is tried again, where others make the same row at once.
_RACES = 3
Values = Mapping[str, Any]


class OrmStore:
    """The rows of one model, over the sessions of a Database.

    With `sync` over those of its sync door, in threads.
    """

    def __init__(
        self,
        database: Database,
        layout: Layout,
        *,
        model: type[Any],
        sync: bool = False,
    ) -> None:
        self._database = database
        self._sync = sync
        self._layout = layout
        self._mapped = model
        self._model = model.__name__
        self._shown = Shown(layout, model)
        self._finder = Finder(layout, model, self._shown.options)
        names = {column: name for name, column in layout.fields.items()}
        self._keys = tuple(names[column] for column in layout.keys)
        self._mark = names.get(layout.soft_delete)  # type: ignore[arg-type] # None is in no column's place
        self._by_session = deletes_by_itself(model)
        if layout.full_text is not None and self._is_file:
            raise Misconfigured(
                f"{layout.table.name!r} is searched by words, which PostgreSQL alone "
                "does; name the columns in `search` for a file"
            )

    def within(
        self,
        condition: ColumnElement[bool],
        *,
        related: Mapping[str, ColumnElement[bool]] = NO_CONDITIONS,
    ) -> Self:
        """Return the store of the rows that meet a condition; see Store.within."""
        limited = self._layout.limited(condition, related)
        return type(self)(self._database, limited, model=self._mapped, sync=self._sync)

    async def get(self, key: Any, *, show: Show = SHOW_ALL) -> Row:
        """Return the row, or raise NotFound; `show` says what of it."""

        def work(session: Session) -> Row:
            row, tag = self._one(session, key)
            return Row(body=self._shown.row(session, row, show), tag=tag)

        return await self._read(work)

    async def list(self, query: Query, page: Page) -> Slice:
        """Return a page of rows, in the query's order and then that of their keys."""
        self._refuse_filters(query)
        return await self._read(lambda session: self._page(session, query, page))

    async def count(self, query: Query) -> int:
        """Return how many rows there are."""
        self._refuse_filters(query)
        return await self._read(lambda session: self._total(session, query))

    async def create(self, values: Values, *, once: Once | None = None) -> Row:
        """Insert a row; see Store for `once`."""

        def work(session: Session) -> Row:
            ((row, tag),) = self._add(session, [values])
            body = self._shown.row(session, row)
            return Row(body=body, tag=tag, key=self._finder.key(row))

        return await self._write(self._once(work, once), [values])

    async def create_many(
        self, rows: Sequence[Values], *, once: Once | None = None
    ) -> bytes:
        """Insert all rows or none; return them as a JSON list, in the order given."""

        def work(session: Session) -> Row:
            stored = self._add(session, rows)
            body = self._shown.rows(session, [row for row, _ in stored])
            return Row(body=body, tag="")

        if not rows:
            return b"[]"
        return (await self._write(self._once(work, once), rows)).body

    async def update(self, key: Any, values: Values, *, match: Match = None) -> Row:
        """Change the fields given and no others; return the row.

        Raises NotFound, and StaleVersion for a row of another version than `match`.
        """

        def work(session: Session) -> Row:
            row, _ = self._one(session, key, lock=True, match=match)
            ((row, tag),) = self._change(session, [row], [values])
            return Row(body=self._shown.row(session, row), tag=tag)

        return await self._write(work, [values], [key])

    async def update_many(self, rows: Sequence[Values]) -> bytes:
        """Change in each row the fields it gives beside its key; all rows or none."""
        if not rows:
            return b"[]"
        keys, changes = split_keys(self._keys, rows)

        def work(session: Session) -> bytes:
            found = self._all(session, keys)
            stored = self._change(session, found, changes)
            return self._shown.rows(session, [row for row, _ in stored])

        return await self._write(work, changes, keys)

    async def delete(self, key: Any, *, hard: bool, match: Match = None) -> None:
        """Mark the row as deleted, or remove it; raises as `update` does."""
        hard = hard or self._mark is None

        def work(session: Session) -> None:
            row, _ = self._one(session, key, marked=hard, lock=True, match=match)
            self._delete(session, [row], hard=hard)

        await self._write(work, keys=[key])

    async def delete_many(self, keys: Sequence[Any], *, hard: bool) -> None:
        """Mark all of these rows as deleted, or remove them; all rows or none."""
        hard = hard or self._mark is None

        def work(session: Session) -> None:
            rows = self._all(session, keys, marked=hard)
            self._delete(session, rows, hard=hard)

        if keys:
            await self._write(work, keys=keys)

    async def restore(self, key: Any, *, match: Match = None) -> Row:
        """Take back the mark of deletion; raises as `update` does."""
        if self._mark is None:
            table = self._layout.table.name
            raise Misconfigured(f"table {table!r} has no soft delete")

        def work(session: Session) -> Row:
            row, _ = self._one(session, key, marked=True, lock=True, match=match)
            self._set_mark(row, deleted=False)
            ((row, tag),) = self._flushed(session, [row])
            return Row(body=self._shown.row(session, row), tag=tag)

        return await self._write(work)

    async def upsert(
        self, values: Values, *, on: Sequence[str], changing: Collection[str]
    ) -> Row:
        """Insert a row, or change the one that has the same values in the fields `on`.

        A known row changes in the fields `changing` alone, and is deleted no more.
        """
        known_by(on, self._layout.stamped, [values])

        def work(session: Session) -> Row:
            stored, new = self._put(session, [values], on, [changing])
            ((row, tag),) = stored
            body, key = self._shown.row(session, row), self._finder.key(row)
            return Row(body=body, tag=tag, key=key, created=bool(new))

        return await self._raced(work, [values])

    async def upsert_many(
        self,
        rows: Sequence[Values],
        *,
        on: Sequence[str],
        changing: Sequence[Collection[str]],
    ) -> bytes:
        """Insert or change each row, as `upsert` does; all rows or none."""
        refuse_twice(on, known_by(on, self._layout.stamped, rows))

        def work(session: Session) -> bytes:
            stored, _ = self._put(session, rows, on, changing)
            return self._shown.rows(session, [row for row, _ in stored])

        return await self._raced(work, rows) if rows else b"[]"

    async def relate(
        self,
        key: Any,
        relation: str,
        change: Change,
        ids: Sequence[Any],
        *,
        match: Match = None,
    ) -> str:
        """Set, add or remove related rows; return the tag of the row's version."""

        def work(session: Session) -> str:
            row, tag = self._one(session, key, lock=True, match=match)
            values = self._shown.values(row)
            if relink(session, self._layout, relation, values, change, ids):
                ((_, tag),) = self._flushed(session, [touched(row)])
            return tag

        return await self._write(work)

    async def related(self, key: Any, relation: str) -> bytes:
        """Return the JSON list of the ids of related rows, in their order."""

        def work(session: Session) -> bytes:
            row, _ = self._one(session, key)
            values = self._shown.values(row)
            return to_json(linked(session, self._layout, relation, values))

        return await self._read(work)

    async def _raced(self, work: Callable[[Session], T], given: Sequence[Values]) -> T:
        """Write, and again where somebody else has just made such a row."""
        for _ in range(_RACES):
            with suppress(Duplicate):
                return await self._write(work, given)
        return await self._write(work, given)

    def _put(
        self,
        session: Session,
        rows: Sequence[Values],
        on: Sequence[str],
        changing: Sequence[Collection[str]],
    ) -> tuple[Sequence[Found], Sequence[Any]]:
        """Return the rows as they are stored, and those of them that are new."""
        self._refuse_values(rows)
        stored, new, stamps = [], [], self._stamps()
        for values, names in zip(rows, changing, strict=True):
            row = self._known(session, {**values, **stamps}, on)
            if row is None:
                row = made(self._mapped, {**self._fitted(values), **stamps})
                new.append(row)
            else:
                changed(row, self._fitted({name: values[name] for name in names}))
                self._set_mark(row, deleted=False, only=not names)
            stored.append(row)
        session.add_all(new)
        return self._flushed(session, stored), new

    def _known(self, session: Session, values: Values, on: Sequence[str]) -> Any:
        """Return the row that is in the way of a new one, locked, if there is one."""
        columns = [self._layout.fields[name] for name in on]
        where = unique_where(self._layout.table, columns)
        same = [c == values[name] for c, name in zip(columns, on, strict=True)]
        statement = (
            select(self._mapped)
            .where(*same, *(() if where is None else (where,)))
            .options(lazyload("*"))
            .with_for_update()
        )
        row = execute(session, statement).scalars().first()
        if row is not None and self._scope:
            key = self._finder.key(row)
            if self._finder.find(session, [key], self._scope) == [None]:
                raise Duplicate().naming(tuple(on))
        return row

    def _once(
        self, work: Callable[[Session], Row], once: Once | None
    ) -> Callable[[Session], Row]:
        """Return the work, done only where it has not been answered before."""
        if once is None:
            return work

        def answered(session: Session) -> Row:
            take_turn(session, self._layout, once)
            return keep_answer(session, self._layout, once, work(session))

        return answered

    async def _read(self, work: Callable[[Session], T]) -> T:
        return await self._done(work, read_only=True)

    async def _write(
        self,
        work: Callable[[Session], T],
        given: Sequence[Values] = (),
        keys: Sequence[Any] = (),
    ) -> T:
        try:
            return await self._done(work)
        except HowdahError as error:
            raise await self._blamed(error, given, keys) from error.__cause__

    async def _done(
        self, work: Callable[[Session], T], *, read_only: bool = False
    ) -> T:
        """Do it in a transaction: of a task, or of a thread."""
        if self._sync:
            return await asyncio.to_thread(self._done_here, work, read_only=read_only)
        async with self._database.transaction(read_only=read_only) as session:
            return await session.run_sync(work)

    def _done_here(self, work: Callable[[Session], T], *, read_only: bool) -> T:
        with self._database.sync_transaction(read_only=read_only) as session:
            return work(session)

    async def _blamed(
        self, error: HowdahError, given: Sequence[Values], keys: Sequence[Any]
    ) -> HowdahError:
        """Return the error with the names of the fields that it is about."""
        tables = self._layout.table.metadata.tables.values()
        error.naming(constraint_fields(error.constraint, tables))
        reference = isinstance(error, MissingReference | StillReferenced)
        if self._is_file and reference and not error.errors:
            return await self._read(
                lambda session: explained(session, self._layout, error, given, keys)
            )
        return error

    @property
    def _is_file(self) -> bool:
        return self._database.dialect == "sqlite"

    def _page(self, session: Session, query: Query, page: Page) -> Slice:
        parts = order(self._layout, query)
        backward = not isinstance(page, OffsetPage) and page.direction == "prev"
        ranks = [part.column for part in parts if not isinstance(part.column, Column)]
        statement = (
            select(self._mapped, *ranks)
            .where(*self._conditions(query))
            .order_by(*(part.clause(backward=backward) for part in parts))
            # One row more tells whether there are more.
            .limit(page.limit + 1)
            .options(lazyload("*"), *self._shown.options)
        )
        statement = self._placed(statement, query, page, parts)
        found = execute(session, statement, {WORDS: query.search} if ranks else {})
        rows = list(found.all())
        more, rows = len(rows) > page.limit, rows[: page.limit]
        if backward:
            rows.reverse()
        return Slice(
            body=self._shown.rows(session, [row[0] for row in rows], query.show),
            first=self._position(rows[0], parts) if rows else None,
            last=self._position(rows[-1], parts) if rows else None,
            more=more,
            total=None if query.count is None else self._total(session, query),
        )

    def _placed(
        self, statement: Any, query: Query, page: Page, parts: Sequence[Part]
    ) -> Any:
        if isinstance(page, OffsetPage):
            return statement.offset(page.skip)
        if page.position is None:
            return statement
        position = read_position(order_columns(self._layout, query), page.position)
        places = Filled({position_name(n): v for n, v in enumerate(position)})
        backward = page.direction == "prev"
        return statement.where(
            behind(parts, position, backward=backward, places=places)
        )

    def _position(self, found: Any, parts: Sequence[Part]) -> str:
        row, *ranks = found
        values = self._shown.values(row)
        rank = iter(ranks)
        return position_text(
            [
                values[part.column] if part.column in values else next(rank)
                for part in parts
            ]
        )

    def _total(self, session: Session, query: Query) -> int:
        counted = select(func.count()).select_from(self._mapped)
        found = execute(session, counted.where(*self._conditions(query)))
        return int(found.scalar_one())

    def _conditions(self, query: Query) -> Any:
        return conditions(self._layout, query, Filled(filter_values(query)))

    def _one(
        self,
        session: Session,
        key: Any,
        *,
        marked: bool = False,
        lock: bool = False,
        match: Match = None,
    ) -> Found:
        """Return the row with this key; one with a moment of deletion only if asked."""
        found = self._find(session, [key], marked=marked, lock=lock)[0]
        if found is None:
            raise NotFound(model=self._model, key=key)
        if match is not None and found[1] not in match:
            raise StaleVersion(f"{self._model} ID {key} has changed since it was read")
        return found

    def _all(
        self, session: Session, keys: Sequence[Any], *, marked: bool = False
    ) -> Sequence[Any]:
        """Return the rows with these keys, or raise with the indexes of the missing."""
        refuse_twice(self._keys, keys)
        found = self._find(session, keys, marked=marked, lock=True)
        missing = [index for index, each in enumerate(found) if each is None]
        if missing:
            raise missing_rows(self._model, self._keys, keys, missing)
        return [each[0] for each in found if each is not None]

    def _find(
        self, session: Session, keys: Sequence[Any], *, marked: bool, lock: bool
    ) -> Sequence[Found | None]:
        visible = () if marked else tuple(is_readable(self._layout))
        where = (*self._scope, *visible)
        sound = [key for key in keys if self._holds(key)]
        found = self._finder.find(session, sound, where, lock=lock) if sound else []
        rows = dict(zip(sound, found, strict=True))
        return [rows.get(key) for key in keys]

    def _holds(self, key: Any) -> bool:
        """Say whether the columns of the key can hold it at all."""
        values = key if len(self._keys) > 1 else (key,)
        limits = (largest(column.type) for column in self._layout.keys)
        return all(
            limit is None or holds(limit, value)
            for limit, value in zip(limits, values, strict=True)
        )

    def _add(self, session: Session, rows: Sequence[Values]) -> Sequence[Found]:
        self._refuse_values(rows)
        stamps = self._stamps()
        new = [made(self._mapped, {**self._fitted(v), **stamps}) for v in rows]
        session.add_all(new)
        return self._flushed(session, new)

    def _change(
        self, session: Session, rows: Sequence[Any], changes: Sequence[Values]
    ) -> Sequence[Found]:
        self._refuse_values(changes)
        for row, values in zip(rows, changes, strict=True):
            changed(row, self._fitted(values))
        return self._flushed(session, rows)

    def _flushed(self, session: Session, rows: Sequence[Any]) -> Sequence[Found]:
        """Return the rows as the database has them now."""
        session.flush()
        keys = [self._finder.key(row) for row in rows]
        found = self._finder.find(session, keys, self._scope)
        if None in found:
            raise from_sqlstate(OUT_OF_SCOPE)
        return [each for each in found if each is not None]

    @property
    def _scope(self) -> tuple[ColumnElement[bool], ...]:
        scope = self._layout.scope
        return () if scope is None else (scope.condition,)

    def _stamps(self) -> Values:
        """Return what new rows have in some fields, whatever is given for them."""
        if self._layout.scope is None:
            return {}
        names = {column: name for name, column in self._layout.fields.items()}
        equal = self._layout.scope.equalities(self._layout.table).items()
        return {names[column]: _plain(value) for column, value in equal}

    def _delete(self, session: Session, rows: Sequence[Any], *, hard: bool) -> None:
        for row in rows:
            if hard:
                self._remove(session, row)
            else:
                self._set_mark(row, deleted=True)
        session.flush()
        if self._scope and not hard:
            self._flushed(session, rows)

    def _set_mark(self, row: Any, *, deleted: bool, only: bool = False) -> None:
        """Mark a row as deleted, or take it back; only where it is not so, if asked."""
        column = self._layout.soft_delete
        if column is None or (only and self._is_active(row)):
            return
        if isinstance(column.type, Boolean):
            gone: Any = false()
            value: Any = gone if deleted else True
        else:
            value = func.now() if deleted else None
        changed(row, {str(self._mark): value})

    def _is_active(self, row: Any) -> bool:
        value = getattr(row, str(self._mark))
        return value is None or value is True

    def _remove(self, session: Session, row: Any) -> None:
        if self._by_session:
            session.delete(row)
            return
        key = self._finder.key(row)
        values = key if len(self._keys) > 1 else (key,)
        pairs = zip(self._layout.keys, values, strict=True)
        execute(
            session,
            delete(self._layout.table).where(*(column == v for column, v in pairs)),
        )

    def _fitted(self, values: Values) -> Values:
        return fitted(self._layout.fields, values) if self._is_file else values

    def _refuse_values(self, rows: Sequence[Values]) -> None:
        names = {name for row in rows for name in row}
        columns = {name: [row.get(name) for row in rows] for name in names}
        given = columns if len(rows) > 1 else rows[0]
        fields = self._layout.fields
        if faults := (*too_large(fields, given), *too_long(fields, given)):
            raise Invalid(errors=faults)

    def _refuse_filters(self, query: Query) -> None:
        """Raise Invalid where a filter has a number that no row can hold."""
        for filter_ in query.filters:
            column = self._layout.filters[filter_.field].column
            limit = largest(column.type) if isinstance(column.type, Integer) else None
            if limit is not None and not all(
                holds(limit, value) for value in _numbers(filter_)
            ):
                raise Invalid


def _plain(value: ColumnElement[Any]) -> Any:
    """Return the value that a part of a scope demands."""
    if isinstance(value, BindParameter):
        return value.effective_value
    return {True_: True, False_: False}.get(type(value))


def _numbers(filter_: Filter) -> Sequence[int]:
    value = filter_.value
    values = value if isinstance(value, tuple) else (value,)
    return [each for each in values if isinstance(each, int)]
