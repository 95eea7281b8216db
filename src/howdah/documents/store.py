"""The store over MongoDB: one document a row, with what PyMongo sends and receives.

A change of one document is atomic by itself: it is read, and stored under the condition
that it is still what was read. What speaks of several is a transaction.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Self, TypeVar

from sqlalchemy import Column, ColumnElement, Integer
from sqlalchemy.sql import true

from howdah.bulk import known_by, missing_rows, refuse_twice, split_keys
from howdah.documents.answers import answered_once
from howdah.documents.changes import Changes, Stored
from howdah.documents.codec import encoded
from howdah.documents.database import MongoDatabase, Session
from howdah.documents.faults import translated
from howdah.documents.links import Links
from howdah.documents.matching import Match as Matching
from howdah.documents.matching import joined, matching, readable
from howdah.documents.pages import found, sliced, target_of
from howdah.documents.related import Embedded, led_to
from howdah.errors import (
    Contention,
    Duplicate,
    HowdahError,
    Invalid,
    Misconfigured,
    NotFound,
    StaleVersion,
    Unsupported,
)
from howdah.limits import holds, largest
from howdah.models import condition_of, unique_where
from howdah.paging import KeysetPage, Page, Slice
from howdah.query import SHOW_ALL, Query, Show
from howdah.rendering import Renderer, json_list, position_text
from howdah.statements import Layout, order_columns
from howdah.store import NO_CONDITIONS, Change, Match, Once, Row

__all__ = ("DocumentStore",)

T = TypeVar("T")
Given = Mapping[str, Any]
Condition = ColumnElement[bool] | Mapping[str, Any]
Becoming = Callable[[Stored, dt.datetime], Mapping[Column[Any], Any]]
# How often a change is made anew, where others change the same document.
_RACES = 50


class DocumentStore:
    """The documents of one collection of a MongoDatabase."""

    def __init__(self, database: MongoDatabase, layout: Layout, *, model: str) -> None:
        if layout.full_text is not None:
            raise Misconfigured(
                f"{model}: words are searched by PostgreSQL alone; name the fields in "
                "`search` that hold them"
            )
        self._database = database
        self._layout = layout
        self._model = model
        self._renderer = Renderer(layout)
        names = {column: name for name, column in layout.fields.items()}
        ((self._key, self._key_name),) = [(c, names[c]) for c in layout.keys]
        self._paths = {c.info["path"]: n for c, n in names.items()}
        self._changes = Changes(layout)
        self._links = Links(database, layout)
        self._embeds = _embedded(database, layout)

    def within(
        self,
        condition: Condition,
        *,
        related: Mapping[str, Condition] = NO_CONDITIONS,
    ) -> Self:
        """Return the store of the rows that meet a condition; see Store.within.

        The condition may be one that Beanie makes as well: `Item.price > 5`.
        """
        there = {
            name: _plain(it, self._related_columns(name))
            for name, it in related.items()
        }
        own = _plain(condition, self._layout.table.columns.values())
        layout = self._layout.limited(own, there)
        scoped = copy(self)
        scoped._layout = layout  # noqa: SLF001 - one of us
        scoped._changes = self._changes.limited(layout)  # noqa: SLF001 - one of us
        scoped._embeds = _embedded(self._database, layout)  # noqa: SLF001 - one of us
        return scoped

    def _related_columns(self, name: str) -> Sequence[Column[Any]]:
        targets = [it.via.property for it in self._layout.filters.values() if it.via]
        targets += [it.relation.property for it in self._layout.embeds.values()]
        tables = [it.local_table for it in targets if it.key == name]
        return [column for table in tables for column in table.columns]

    async def get(self, key: Any, *, show: Show = SHOW_ALL) -> Row:
        """Return the row, or raise NotFound; `show` says what of it."""
        stored = await self._found(key)
        (body,) = await self._shown([stored], show)
        return Row(body=body, tag=self._changes.tag(stored))

    async def list(self, query: Query, page: Page) -> Slice:
        """Return a page of rows, in the query's order and then that of their keys."""
        self._refuse_filters(query)
        asked = await self._asked(query)
        stages = [{"$match": asked}, *sliced(self._layout, query, page)]
        rows = [self._changes.stored(raw) for raw in await self._aggregated(stages)]
        more, rows = len(rows) > page.limit, rows[: page.limit]
        if isinstance(page, KeysetPage) and page.direction == "prev":
            rows.reverse()
        columns = order_columns(self._layout, query)
        ends = [
            position_text([row.values[column] for column in columns])
            for row in (*rows[:1], *rows[-1:])
        ]
        return Slice(
            body=json_list(await self._shown(rows, query.show)),
            first=ends[0] if ends else None,
            last=ends[-1] if ends else None,
            more=more,
            total=None if query.count is None else await self.count(query),
        )

    async def count(self, query: Query) -> int:
        """Return how many rows there are."""
        self._refuse_filters(query)
        asked = await self._asked(query)
        rows = await self._aggregated([{"$match": asked}, {"$count": "rows"}])
        return rows[0]["rows"] if rows else 0

    async def create(self, values: Given, *, once: Once | None = None) -> Row:
        """Insert a row; see Store for `once`."""
        self._changes.refuse_unfit([values], many=False)

        async def work(session: Session) -> Row:
            (stored,) = await self._inserted([values], session)
            return self._row(stored, new=True)

        return await self._once(work, once)

    async def create_many(
        self, rows: Sequence[Given], *, once: Once | None = None
    ) -> bytes:
        """Insert all rows or none; return them as a JSON list, in the order given."""
        if not rows:
            return b"[]"
        self._changes.refuse_unfit(rows, many=True)

        async def work(session: Session) -> Row:
            stored = await self._inserted(rows, session, many=True)
            return Row(body=self._renderer.rows(it.values for it in stored), tag="")

        if once is None and len(rows) > 1:
            return (await self._database.run(work)).body
        return (await self._once(work, once)).body

    async def update(self, key: Any, values: Given, *, match: Match = None) -> Row:
        """Change the fields given and no others; return the row.

        Raises NotFound, and StaleVersion for a row of another version than `match`.
        """
        self._changes.refuse_unfit([values], many=False)
        given = self._changes.named(values)
        stored = await self._changed(key, lambda *_: given, match=match)
        return self._row(stored)

    async def update_many(self, rows: Sequence[Given]) -> bytes:
        """Change in each row the fields it gives beside its key; all rows or none."""
        keys, changes = split_keys((self._key_name,), rows)
        refuse_twice((self._key_name,), keys)
        if not rows:
            return b"[]"
        self._changes.refuse_unfit(changes, many=True)

        async def work(session: Session) -> bytes:
            known = await self._all(keys, session)
            stored = [
                await self._stored(it, self._changes.named(values), session, index)
                for index, (it, values) in enumerate(zip(known, changes, strict=True))
            ]
            return self._renderer.rows(it.values for it in stored)

        return await self._together(work, keys)

    async def delete(self, key: Any, *, hard: bool, match: Match = None) -> None:
        """Mark the row as deleted, or remove it; raises as `update` does."""
        if hard or self._layout.soft_delete is None:
            await self._removed(key, match)
        else:
            await self._changed(key, self._marked(deleted=True), match=match)

    async def delete_many(self, keys: Sequence[Any], *, hard: bool) -> None:
        """Mark all of these rows as deleted, or remove them; all rows or none."""
        refuse_twice((self._key_name,), keys)
        removes = hard or self._layout.soft_delete is None

        async def work(session: Session) -> None:
            known = await self._all(keys, session, marked=removes)
            if removes:
                await self._delete([it.key for it in known], session)
                return
            for index, it in enumerate(known):
                mark = self._changes.mark(_now(), deleted=True)
                await self._stored(it, mark, session, index)

        if keys:
            await self._together(work, keys)

    async def restore(self, key: Any, *, match: Match = None) -> Row:
        """Take back the mark of deletion; raises as `update` does."""
        if self._layout.soft_delete is None:
            raise Misconfigured(f"{self._model} has no soft delete")
        back = self._marked(deleted=False)
        return self._row(await self._changed(key, back, match=match, marked=True))

    async def upsert(
        self, values: Given, *, on: Sequence[str], changing: Collection[str]
    ) -> Row:
        """Insert a row, or change the one that has the same values in the fields `on`.

        A known row changes in the fields `changing` alone, and is deleted no more.
        """
        known_by(on, self._layout.stamped, [values])
        self._changes.refuse_unfit([values], many=False)
        last: HowdahError = Contention()
        for _ in range(_RACES):
            try:
                stored, new = await self._put(values, on, changing, None)
                return replace(self._row(stored, new=True), created=new)
            except (Duplicate, Contention) as error:
                # Somebody else may just have made it; then there it is.
                if isinstance(error, Duplicate) and set(error.fields) != {*on}:
                    raise
                last = error
        raise last

    async def upsert_many(
        self,
        rows: Sequence[Given],
        *,
        on: Sequence[str],
        changing: Sequence[Collection[str]],
    ) -> bytes:
        """Insert or change each row, as `upsert` does; all rows or none."""
        refuse_twice(on, known_by(on, self._layout.stamped, rows))
        if not rows:
            return b"[]"
        self._changes.refuse_unfit(rows, many=True)

        async def work(session: Session) -> bytes:
            stored = [
                (await self._numbered(index, self._put(row, on, names, session)))[0]
                for index, (row, names) in enumerate(zip(rows, changing, strict=True))
            ]
            return self._renderer.rows(it.values for it in stored)

        return await self._together(work, rows)

    async def relate(
        self,
        key: Any,
        relation: str,
        change: Change,
        ids: Sequence[Any],
        *,
        match: Match = None,
    ) -> str:
        """Refuse: documents hold their links themselves, as a field."""
        del key, change, ids, match
        raise Unsupported(f"{relation} is a field of {self._model}; change it there")

    async def related(self, key: Any, relation: str) -> bytes:
        """Refuse, as `relate` does."""
        del key
        raise Unsupported(f"{relation} is a field of {self._model}; read it there")

    async def _asked(self, query: Query) -> Matching:
        """Return what meets a query; what relations lead to is looked up first."""
        with translated(self._paths):
            related = [
                await led_to(self._database, self._layout, it)
                for it in query.filters
                if target_of(self._layout, it).via is not None
            ]
        return joined([found(self._layout, query), *related])

    async def _aggregated(self, stages: Sequence[Any]) -> Sequence[dict[str, Any]]:
        collection = await self._database.collection(self._layout.table.name)
        with translated(self._paths):
            cursor = await collection.aggregate(stages)
            return await cursor.to_list()

    async def _found(
        self, key: Any, session: Session = None, *, marked: bool = False
    ) -> Stored:
        """Return the row with this key; one with a moment of deletion only if asked."""
        collection = await self._database.collection(self._layout.table.name)
        raw = None
        if self._holds(key):
            known = {"_id": encoded(self._key, key)}
            with translated(self._paths):
                raw = await collection.find_one(
                    self._matching(known, marked=marked), session=session
                )
        if raw is None:
            raise NotFound(model=self._model, key=key)
        return self._changes.stored(raw)

    async def _all(
        self, keys: Sequence[Any], session: Session, *, marked: bool = False
    ) -> Sequence[Stored]:
        """Return the rows with these keys, or raise with the indexes of the missing."""
        collection = await self._database.collection(self._layout.table.name)
        sent = [encoded(self._key, key) for key in keys if self._holds(key)]
        cursor = collection.find(
            self._matching({"_id": {"$in": sent}}, marked=marked), session=session
        )
        with translated(self._paths):
            rows = [self._changes.stored(raw) for raw in await cursor.to_list()]
        known = {row.values[self._key]: row for row in rows}
        missing = [index for index, key in enumerate(keys) if key not in known]
        if missing:
            raise missing_rows(self._model, (self._key_name,), keys, missing)
        return [known[key] for key in keys]

    def _matching(self, known: Matching, *, marked: bool) -> Matching:
        parts = [known]
        if not marked:
            parts.append(readable(self._layout.soft_delete))
        if self._layout.scope is not None:
            parts.append(matching(self._layout.scope.condition))
        return joined(parts)

    def _holds(self, key: Any) -> bool:
        limit = largest(self._key.type) if isinstance(self._key.type, Integer) else None
        return limit is None or holds(limit, key)

    async def _changed(
        self, key: Any, become: Becoming, *, match: Match, marked: bool = False
    ) -> Stored:
        """Change a document that is still what it was when it was read."""
        for _ in range(_RACES):
            stored = await self._found(key, marked=marked)
            self._refuse_stale(stored, key, match)
            try:
                return await self._stored(stored, become(stored, _now()), None)
            except Contention:
                continue
        raise Contention

    async def _stored(
        self,
        stored: Stored,
        changes: Mapping[Column[Any], Any],
        session: Session,
        index: int | None = None,
        *,
        touch: bool = True,
    ) -> Stored:
        """Store what becomes of a document; raise Contention where it has changed."""
        if not changes:
            return stored
        try:
            becoming, update = self._changes.changed(
                stored, changes, _now(), touch=touch
            )
            await self._links.check([changes], session)
            collection = await self._database.collection(self._layout.table.name)
            with translated(self._paths):
                done = await collection.update_one(
                    self._changes.version(stored), update, session=session
                )
        except HowdahError as error:
            raise _at(index, error) from error.__cause__
        if not done.matched_count:
            raise Contention
        return becoming

    async def _removed(self, key: Any, match: Match) -> None:
        collection = await self._database.collection(self._layout.table.name)
        for _ in range(_RACES):
            stored = await self._found(key, marked=True)
            self._refuse_stale(stored, key, match)
            with translated(self._paths):
                done = await collection.delete_one(self._changes.version(stored))
            if done.deleted_count:
                return
        raise Contention

    async def _delete(self, keys: Sequence[Any], session: Session) -> None:
        collection = await self._database.collection(self._layout.table.name)
        with translated(self._paths):
            await collection.delete_many({"_id": {"$in": keys}}, session=session)

    async def _inserted(
        self, rows: Sequence[Given], session: Session, *, many: bool = False
    ) -> Sequence[Stored]:
        """Insert rows, and return them as they are stored."""
        numbers = await self._numbers(len(rows))
        now = _now()
        stored = []
        for index, (row, number) in enumerate(zip(rows, numbers, strict=True)):
            try:
                stored.append(self._changes.new(row, number, now))
            except HowdahError as error:
                raise _at(index if many else None, error) from None
        await self._links.check([it.values for it in stored], session, many=many)
        collection = await self._database.collection(self._layout.table.name)
        with translated(self._paths):
            if many:
                await collection.insert_many(
                    [{**it.raw} for it in stored], session=session
                )
            else:
                await collection.insert_one({**stored[0].raw}, session=session)
        return stored

    async def _numbers(self, count: int) -> Sequence[int | None]:
        if not self._changes.numbered:
            return [None] * count
        with translated(self._paths):
            return await self._database.numbers(self._layout.table.name, count)

    async def _put(
        self,
        values: Given,
        on: Sequence[str],
        changing: Collection[str],
        session: Session,
    ) -> tuple[Stored, bool]:
        """Insert a row or change the known one; say whether it is new."""
        now = _now()
        stored = self._changes.new(values, 0, now)
        known = await self._known(stored, on, session)
        if known is None:
            (made,) = await self._inserted([values], session)
            return made, True
        if not self._changes.is_within(known.values, now):
            raise Duplicate("A row is in the way that you may not touch.").naming(
                tuple(on)
            )
        mark = self._changes.mark(now, deleted=False)
        is_there = all(known.values[column] == value for column, value in mark.items())
        changes = self._changes.named({name: values[name] for name in changing})
        back = {} if is_there else mark
        return await self._stored(
            known, {**back, **changes}, session, touch=bool(changing)
        ), False

    async def _known(
        self, new: Stored, on: Sequence[str], session: Session
    ) -> Stored | None:
        """Return the document that is in the way of a new one."""
        columns = [self._layout.fields[name] for name in on]
        where = unique_where(self._layout.table, columns)
        same: list[Matching] = [
            {c.info["path"]: encoded(c, new.values[c])} for c in columns
        ]
        if where is not None:
            same.append(matching(where))
        collection = await self._database.collection(self._layout.table.name)
        with translated(self._paths):
            raw = await collection.find_one(joined(same), session=session)
        return None if raw is None else self._changes.stored(raw)

    async def _once(
        self, work: Callable[[Session], Awaitable[Row]], once: Once | None
    ) -> Row:
        if once is None:
            return await work(None)
        return await answered_once(self._database, self._layout, once, work)

    async def _together(
        self, work: Callable[[Session], Awaitable[T]], several: Sequence[Any]
    ) -> T:
        """Do work that is all or none: one document alone is that anyway."""
        return await (work(None) if len(several) == 1 else self._database.run(work))

    async def _numbered(self, index: int, work: Awaitable[T]) -> T:
        try:
            return await work
        except HowdahError as error:
            raise _at(index, error) from error.__cause__

    async def _shown(self, rows: Sequence[Stored], show: Show) -> Sequence[bytes]:
        """Return the JSON of what is shown of rows, and of their related ones."""
        with translated(self._paths):
            related = {n: await self._embeds[n].json(rows) for n in show.include}
        return [
            self._renderer.row(
                row.values, show.fields, {n: some[at] for n, some in related.items()}
            )
            for at, row in enumerate(rows)
        ]

    def _row(self, stored: Stored, *, new: bool = False) -> Row:
        return Row(
            body=self._renderer.row(stored.values),
            tag=self._changes.tag(stored),
            key=stored.values[self._key] if new else None,
        )

    def _marked(self, *, deleted: bool) -> Becoming:
        return lambda _stored, now: self._changes.mark(now, deleted=deleted)

    def _refuse_stale(self, stored: Stored, key: Any, match: Match) -> None:
        if match is not None and self._changes.tag(stored) not in match:
            raise StaleVersion(f"{self._model} ID {key} has changed since it was read")

    def _refuse_filters(self, query: Query) -> None:
        """Raise Invalid where a filter has a number that no row can hold."""
        for filter_ in query.filters:
            column = self._layout.filters[filter_.field].column
            limit = largest(column.type) if isinstance(column.type, Integer) else None
            given = filter_.value
            values = given if isinstance(given, tuple) else (given,)
            whole = [it for it in values if isinstance(it, int)]
            if limit is not None and not all(holds(limit, it) for it in whole):
                raise Invalid


def _embedded(database: MongoDatabase, layout: Layout) -> Mapping[str, Embedded]:
    return {name: Embedded(database, embed) for name, embed in layout.embeds.items()}


def _plain(condition: Condition, columns: Sequence[Column[Any]]) -> ColumnElement[bool]:
    """Return a condition of columns, of whatever form it was given in."""
    if not isinstance(condition, Mapping):
        return condition
    paths = {name: c for c in columns for name in _paths(c)}
    return condition_of(condition, paths) if condition else true()


def _paths(column: Column[Any]) -> Sequence[str]:
    """Return the names that a query may have for a column."""
    path = column.info["path"]
    linked = ("id", "_id", "$id") if "linked" in column.info else ()
    return (path, column.key, *(f"{path}.{name}" for name in linked))


def _at(index: int | None, error: HowdahError) -> HowdahError:
    """Return an error that blames a row of a batch."""
    if index is not None:
        error.errors = tuple(replace(it, index=index) for it in error.errors)
    return error


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
