"""The store over the fast lane: an action becomes a shape, a plan and one call.

PostgreSQL writes the JSON. How a plan is kept and run is the table's business.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from pydantic import BaseModel
from sqlalchemy import ClauseElement

from howdah import statements
from howdah.bulk import (
    given_twice,
    keys_of,
    known_by,
    refuse_twice,
    refuse_unheld,
    split_keys,
    unrelated,
)
from howdah.database import Database
from howdah.errors import (
    Conflict,
    Contention,
    Duplicate,
    HowdahError,
    Invalid,
)
from howdah.fast.batches import Batch, Changes, key_arrays
from howdah.fast.culprits import is_twice
from howdah.fast.once import new_answer, once_values, refuse_kept, why_refused
from howdah.fast.pages import page_of
from howdah.fast.plans import Plan
from howdah.fast.table import FastTable
from howdah.fast.texts import Columns, text_batch, text_changes
from howdah.limits import largest
from howdah.paging import OffsetPage, Page, Slice
from howdah.query import SHOW_ALL, Query, Show
from howdah.rendering import read_position
from howdah.sent import SentChanges, SentRows
from howdah.statements import (
    IDS,
    MATCH,
    Becoming,
    Bounds,
    Layout,
    change_name,
    filter_values,
    given_rows,
    key_values,
    position_name,
    touch_name,
    value_name,
)
from howdah.store import Change, Match, Once, Row

__all__ = ("FastStore",)

# How often a set of relations may lose to other changes of the same row.
_MOST_RACES = 20
# Orders whose fields, and lists whose statements and arguments, are remembered.
_MOST_PLACES = _MOST_LISTS = 500


class _Asked(NamedTuple):
    """A list, and what is sent for it."""

    query: Query
    page: Page
    counted: Query
    plan: Plan
    arguments: Sequence[Any]
    names: tuple[str, ...] | None


class FastStore(FastTable):
    """The rows of one table, over the fast lane of a Database."""

    def __init__(self, database: Database, layout: Layout, *, model: str) -> None:
        super().__init__(database, layout, model=model)
        self._places: dict[object, tuple[str, ...] | None] = {}
        self._lists: dict[int, _Asked] = {}

    async def get(self, key: Any, *, show: Show = SHOW_ALL) -> Row:
        """Return the row, or raise NotFound; `show` says what of it."""
        self._check(key)
        plan = self._plan(("get", show), lambda: statements.get(self._layout, show))
        return self._row(await self._read(plan, key_values(self._layout, key)), key)

    async def list(self, query: Query, page: Page) -> Slice:
        """Return a page of rows, in the query's order and then that of their keys."""
        asked = self._asked(query, page)
        answer = await self._send(asked.plan, asked.arguments)
        found = page_of(tuple(answer), asked.counted, page, asked.names)
        if asked.counted.count == "estimated" and found.total is None:
            total = await self._estimate(asked.counted)
            found = replace(found, total=total, estimated=True)
        return found

    def _asked(self, query: Query, page: Page) -> _Asked:
        """Return what is sent for a list; it is known where the same objects ask again.

        Within a scope it is another for each caller.
        """
        if self._layout.scopes:
            return self._ask(query, page)
        known = self._lists.get(id(query))
        if known is None or known.query is not query or known.page is not page:
            if len(self._lists) >= _MOST_LISTS:
                self._lists.pop(next(iter(self._lists)))
            known = self._lists[id(query)] = self._ask(query, page)
        return known

    def _ask(self, query: Query, page: Page) -> _Asked:
        counted = self._countable(query)
        plan = self._plan(
            ("list", counted.shape, self._page_shape(counted, page)),
            lambda: statements.list_rows(self._layout, counted, page),
        )
        values = filter_values(counted) | self._place(counted, page)
        arguments = self._arguments(plan, values)
        names = self._place_names(counted)
        return _Asked(query, page, counted, plan, arguments, names)

    async def count(self, query: Query) -> int:
        """Return how many rows there are, or how many the planner thinks there are."""
        query = self._countable(query)
        if query.count == "estimated":
            return await self._estimate(query)
        plan = self._plan(
            ("count", query.shape), lambda: statements.count(self._layout, query)
        )
        return int((await self._read(plan, filter_values(query)))[0])

    def _countable(self, query: Query) -> Query:
        """Return a query that tells nothing of rows beyond the scope.

        The planner estimates from statistics of all rows, of what is in them as well.
        """
        hides = query.count == "estimated" and self._layout.scopes
        return replace(query, count="exact") if hides else query

    async def _estimate(self, query: Query) -> int:
        # EXPLAIN cannot stand inside of a statement; it takes a round trip of its own.
        plan = self._plan(
            ("found", query.shape), lambda: statements.found(self._layout, query)
        )
        explained = (await self._read(plan.explained(), filter_values(query)))[0]
        return int(json.loads(explained)[0]["Plan"]["Plan Rows"])

    async def create(
        self, values: Mapping[str, Any], *, once: Once | None = None
    ) -> Row:
        """Insert a row; see Store for `once`."""
        if once is not None:
            batch = Batch.new(self._layout, [self._filled(values)])
            return await self._once(batch, once, many=False)
        shape = ("create", *values)
        plan = self._plan(shape, lambda: statements.create(self._layout, values))
        body, tag, *keys = await self._write(plan, _named(values))
        return Row(body=body.encode(), tag=tag, key=_key(keys))

    async def create_many(
        self, rows: Sequence[Mapping[str, Any]], *, once: Once | None = None
    ) -> bytes:
        """Insert all rows or none; return them as a JSON list, in the order given."""
        if not rows:
            return b"[]"
        batch = self._batch(rows)
        with self._blaming(batch, lambda: self._arrays(rows)):
            if once is not None:
                return (await self._once(batch, once, many=True)).body
            plan = self._plan(
                ("create_many", *batch.shape),
                lambda: statements.create_many(
                    self._layout, batch.names, **batch.written
                ),
            )
            row = await self._write_many(plan, batch.arrays, self._new(batch))
        return bytes(row[0].encode())

    def _batch(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Return new rows in the way that costs least."""
        if isinstance(rows, SentRows) and (columns := self._columns(rows.schema)):
            batch = text_batch(rows, columns, self._layout.fields, self._defaults)
            if batch is not None:
                return batch
        return self._arrays(rows)

    def _arrays(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        return Batch.new(self._layout, [self._filled(row) for row in rows])

    def _columns(self, schema: type[BaseModel] | None) -> Columns | None:
        """Return how rows go as a text, where they are instances of one schema."""
        if schema is None:
            return None
        if schema not in self._texts:
            self._texts[schema] = Columns.of(schema, self._layout.fields)
        return self._texts[schema]

    async def update(
        self, key: Any, values: Mapping[str, Any], *, match: Match = None
    ) -> Row:
        """Change the fields given and no others; return the row.

        Raises NotFound, and StaleVersion for a row of another version than `match`.
        """
        if not values:
            return self._matched(await self.get(key), key, match)
        build = partial(statements.update_row, self._layout, values)
        return await self._change(("update", *values), build, key, match, values)

    async def update_many(self, rows: Sequence[Mapping[str, Any]]) -> bytes:
        """Change in each row the fields it gives beside its key; all rows or none."""
        if not rows:
            return b"[]"
        keys = keys_of(self._keys, rows)
        self._check_all(keys)
        batch = self._changes(rows)
        plan = self._plan(
            ("update_many", *batch.shape),
            lambda: statements.update_many(
                self._layout, batch.names, idle=batch.idle, **batch.written
            ),
        )
        arrays = {**batch.arrays, **key_arrays(self._layout, keys)}
        given = partial(
            given_rows, self._layout, batch.names, keyed=True, **batch.written
        )
        with self._blaming(batch, lambda: self._changed_arrays(rows)):
            body, missing = await self._write_many(
                plan, arrays, lambda: Becoming.changed(given())
            )
        self._check_found(keys, missing)
        return bytes(body.encode())

    def _changes(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Return changes in the way that costs least."""
        if isinstance(rows, SentChanges) and (columns := self._columns(rows.schema)):
            fields, touches = self._layout.fields, self._touches
            batch = text_changes(rows, self._keys, columns, fields, touches)
            if batch is not None:
                return batch
        return self._changed_arrays(rows)

    def _changed_arrays(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        _, changes = split_keys(self._keys, rows)
        return Batch.of(self._layout, [self._changed(row) for row in changes])

    @contextmanager
    def _blaming(self, batch: Batch, arrays: Callable[[], Batch]) -> Iterator[None]:
        """Name the fields that are to blame in a text, which only arrays tell."""
        try:
            yield
        except HowdahError as error:
            if batch.texts and not error.errors:
                self._blame(error, arrays().arrays)
            raise

    async def delete(self, key: Any, *, hard: bool, match: Match = None) -> None:
        """Mark the row as deleted, or remove it; raises as `update` does."""
        hard = hard or self._layout.soft_delete is None
        build = statements.hard_delete if hard else statements.soft_delete
        shape = ("delete", hard)
        await self._change(shape, partial(build, self._layout), key, match)

    async def delete_many(self, keys: Sequence[Any], *, hard: bool) -> None:
        """Mark all of these rows as deleted, or remove them; all rows or none."""
        if not keys:
            return
        self._check_all(keys)
        hard = hard or self._layout.soft_delete is None
        plan = self._plan(
            ("delete_many", hard),
            lambda: statements.delete_many(self._layout, hard=hard),
        )
        row = await self._write_many(
            plan,
            key_arrays(self._layout, keys),
            lambda: Becoming.changed(given_rows(self._layout, (), keyed=True)),
        )
        self._check_found(keys, row[0])

    async def restore(self, key: Any, *, match: Match = None) -> Row:
        """Take back the mark of deletion; raises as `update` does."""
        build = partial(statements.restore, self._layout)
        return await self._change(("restore",), build, key, match)

    async def upsert(
        self, values: Mapping[str, Any], *, on: Sequence[str], changing: Collection[str]
    ) -> Row:
        """Insert a row, or change the one that has the same values in the fields `on`.

        A known row changes in the fields `changing` alone, and is deleted no more.
        """
        known_by(on, self._layout.stamped, [values])
        fields = tuple(name for name in self._layout.fields if name in changing)
        plan = self._plan(
            ("upsert", *on, None, *values, None, *fields),
            lambda: statements.upsert(self._layout, values, on=on, changing=fields),
        )
        given = _named(values)
        row = await self._write(plan, given | self._touched(given))
        if row is None:
            raise Duplicate().naming(tuple(on))
        body, tag, created, *keys = row
        return Row(body=body.encode(), tag=tag, key=_key(keys), created=created)

    async def upsert_many(
        self,
        rows: Sequence[Mapping[str, Any]],
        *,
        on: Sequence[str],
        changing: Sequence[Collection[str]],
    ) -> bytes:
        """Insert or change each row, as `upsert` does; all rows or none."""
        if not rows:
            return b"[]"
        refuse_twice(on, known_by(on, self._layout.stamped, rows))
        batch = self._batch(rows)
        changes = Changes.of(self._layout, changing)
        plan = self._plan(
            ("upsert_many", *on, *batch.shape, *changes.shape),
            lambda: statements.upsert_many(
                self._layout,
                batch.names,
                on=on,
                changing=changes.names,
                seldom=changes.seldom,
                **batch.written,
            ),
        )
        given = {**batch.arrays, **changes.arrays, **self._touched({})}
        becoming = self._put(batch, on, changes)
        try:
            with self._blaming(batch, lambda: self._arrays(rows)):
                row = await self._write_many(plan, given, becoming)
        except HowdahError as error:
            if is_twice(error):
                raise await self._twice(batch, on, given) from error.__cause__
            raise
        return bytes(row[0].encode())

    async def _twice(
        self, batch: Batch, on: Sequence[str], given: Mapping[str, Any]
    ) -> Invalid:
        """Return the error of rows that PostgreSQL takes for one, as CITEXT is."""
        columns = [self._layout.fields[name] for name in on]
        plan = self._renamed(statements.alike(self._new(batch)(), columns))
        found = (await self._read(plan, given))[0]
        return given_twice(on, [position - 1 for position in found or ()])

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
        self._check(key)
        link = self._layout.links[relation]
        limit, matched = largest(link.other.type), match is not None
        ids = refuse_unheld(relation, change, ids, limit)
        plan = self._plan(
            ("relate", relation, change, matched),
            lambda: statements.relate(
                self._layout, link, change, name=relation, matched=matched
            ),
        )
        given = {IDS: ids, MATCH: match, **key_values(self._layout, key)}
        # A set that lost a race saw old relations, and is made once more.
        for _ in range(_MOST_RACES):
            tag, unknown, fresh, there = await self._write(plan, given)
            if tag is None:
                raise self._stale(key) if there else self._missing(key)
            if unknown:
                raise unrelated(relation, [position - 1 for position in unknown])
            if fresh:
                return str(tag)
        raise Contention

    async def related(self, key: Any, relation: str) -> bytes:
        """Return the JSON list of the ids of related rows, in their order."""
        self._check(key)
        link = self._layout.links[relation]
        plan = self._plan(
            ("related", relation),
            lambda: statements.related(self._layout, link, name=relation),
        )
        row = await self._read(plan, key_values(self._layout, key))
        if row is None:
            raise self._missing(key)
        return bytes(row[0].encode())

    async def _change(
        self,
        shape: tuple[object, ...],
        build: Callable[..., ClauseElement],
        key: Any,
        match: Match,
        values: Mapping[str, Any] | None = None,
    ) -> Row:
        self._check(key)
        matched = match is not None
        plan = self._plan((*shape, matched), lambda: build(matched=matched))
        given = {MATCH: match, **_named(values or {}), **key_values(self._layout, key)}
        row = await self._write(plan, given)
        if matched and row[0] is None and row[2]:
            raise self._stale(key)
        return self._row(row, key)

    async def _once(self, batch: Batch, once: Once, *, many: bool) -> Row:
        """Write and keep the answer, or raise Replayed with that of the first time."""
        build = statements.create_many_once if many else statements.create_once
        plan = self._plan(
            ("create_once", many, *batch.shape),
            lambda: build(self._layout, batch.names, **batch.written),
        )
        asked = once_values(self._layout, once)
        try:
            given = {**asked, **batch.arrays}
            found = await (
                self._write_many(plan, given, self._new(batch), again=True)
                if many
                else self._write(plan, given, again=True)
            )
        except (Conflict, Invalid) as refused:
            # Perhaps by the rows of the first time, which has only just ended: their
            # answer was kept behind the back of this statement's snapshot.
            kept = await self._kept(asked)
            if kept is not None:
                refuse_kept(self._layout, once, kept)
            raise why_refused(refused, many=many) from refused.__cause__
        return new_answer(self._layout, once, found)

    async def _kept(self, asked: Mapping[str, Any]) -> Any:
        plan = self._plan("kept", lambda: statements.kept_answer(self._layout))
        return await self._read(plan, asked)

    def _filled(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add Python's defaults to a row; one statement would share them."""
        missing = {
            name: default(_named(row))
            for name, default in self._defaults.items()
            if name not in row
        }
        return {**row, **missing}

    def _changed(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add what Python fills in on updates, where the row changes at all."""
        if not row:
            return row
        named = _named(row)
        return {n: fill(named) for n, fill in self._touches.items()} | dict(row)

    def _touched(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what Python fills in where an upsert changes a row."""
        return {touch_name(name): fill(given) for name, fill in self._touches.items()}

    def _place_names(self, query: Query) -> tuple[str, ...] | None:
        """Return the fields of a row that tell its position, None where none do."""
        places = self._places
        if query.shape not in places:
            if len(places) >= _MOST_PLACES:
                places.pop(next(iter(places)))
            places[query.shape] = statements.place_names(self._layout, query)
        return places[query.shape]

    def _page_shape(self, query: Query, page: Page) -> tuple[object, ...]:
        bounds = Bounds.of(self._layout, query, page)
        if isinstance(page, OffsetPage):
            return (bounds,)
        nulls = page.position and tuple(value is None for value in page.position)
        return (bounds, page.direction, nulls)

    def _place(self, query: Query, page: Page) -> dict[str, Any]:
        """Return the parameters of a page."""
        values: dict[str, Any] = {"limit": page.limit}
        if isinstance(page, OffsetPage):
            return values | {"skip": page.skip}
        if page.position is None:
            return values
        columns = statements.order_columns(self._layout, query)
        position = read_position(columns, page.position, endless=True)
        return values | {position_name(n): value for n, value in enumerate(position)}

    def _new(self, batch: Batch) -> Callable[[], Becoming]:
        """Return what tells what new rows become."""
        return lambda: Becoming.new(
            given_rows(self._layout, batch.names, **batch.written)
        )

    def _put(
        self, batch: Batch, on: Sequence[str], changes: Changes
    ) -> Callable[[], Becoming]:
        """Return what tells what rows that are put become."""
        flags = [change_name(name) for name in changes.names if name in changes.seldom]
        return lambda: Becoming.put(
            given_rows(self._layout, batch.names, flags=flags, **batch.written),
            on,
            changes.names,
            changes.seldom,
        )


def _key(values: Sequence[Any]) -> Any:
    """Return a key of one column as its value, None where it is not shown."""
    if len(values) == 1:
        return values[0]
    return None if any(value is None for value in values) else tuple(values)


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    return {value_name(name): value for name, value in values.items()}
