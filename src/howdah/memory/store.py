"""The store over dictionaries: the port, in plain Python."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Self, TypeVar

from pydantic_core import to_json
from sqlalchemy import Boolean, Column, ColumnElement

from howdah.bulk import known_by, missing_rows, refuse_twice, split_keys, unrelated
from howdah.errors import (
    Duplicate,
    Forbidden,
    HowdahError,
    Invalid,
    Misconfigured,
    NotFound,
    StaleVersion,
    from_sqlstate,
)
from howdah.limits import too_large, too_long
from howdah.meaning import (
    Values,
    check_row,
    creation_default,
    numbers,
    reader,
    taken,
    update_default,
)
from howdah.memory.conditions import active, is_readable, is_within, met
from howdah.memory.database import MemoryDatabase
from howdah.memory.embedded import Embedded
from howdah.memory.order import Order
from howdah.memory.tables import Change, Key, Stored, Tables
from howdah.models import unique_where
from howdah.paging import OffsetPage, Page, Slice
from howdah.query import SHOW_ALL, Query, Show
from howdah.rendering import Renderer, json_list, read_position
from howdah.statements import Layout, Link
from howdah.store import NO_CONDITIONS, Match, Once, Row
from howdah.store import Change as Relating

__all__ = ("MemoryStore",)

T = TypeVar("T")


class MemoryStore:
    """The rows of one table of a MemoryDatabase."""

    def __init__(self, database: MemoryDatabase, layout: Layout, *, model: str) -> None:
        self._database = database
        self._layout = layout
        self._table = layout.table
        self._model = model
        self._renderer = Renderer(layout)
        self._embeds = {n: Embedded(it) for n, it in layout.embeds.items()}
        self._names = {column: name for name, column in layout.fields.items()}
        self._keys = tuple(self._names[column] for column in layout.keys)
        columns = list(layout.table.columns)
        self._defaults = {c: creation_default(c) for c in columns}
        self._touched = {c: d for c in columns if (d := update_default(c))}

    def within(
        self,
        condition: ColumnElement[bool],
        *,
        related: Mapping[str, ColumnElement[bool]] = NO_CONDITIONS,
    ) -> Self:
        """Return the store of the rows that meet a condition; see Store.within."""
        scoped = copy(self)
        scoped._layout = self._layout.limited(condition, related)  # noqa: SLF001 - one of us
        embeds = scoped._layout.embeds.items()  # noqa: SLF001 - one of us
        scoped._embeds = {n: Embedded(it) for n, it in embeds}  # noqa: SLF001 - one of us
        return scoped

    async def get(self, key: Any, *, show: Show = SHOW_ALL) -> Row:
        """Return the row, or raise NotFound; `show` says what of it."""
        stored = self._found(self._database, key)
        return Row(body=self._shown(stored.values, show), tag=stored.tag)

    async def list(self, query: Query, page: Page) -> Slice:
        """Return a page of rows, in the query's order and then that of their keys."""
        order = Order(self._layout, query)
        found = order.sorted(met(self._layout, self._database, query))
        rows, more = _sliced(found, page, order)
        ends = [order.position(row) for row in (*rows[:1], *rows[-1:])]
        return Slice(
            body=json_list(self._shown(row, query.show) for row in rows),
            first=ends[0] if ends else None,
            last=ends[-1] if ends else None,
            more=more,
            total=None if query.count is None else len(found),
        )

    async def count(self, query: Query) -> int:
        """Return how many rows there are."""
        return len(met(self._layout, self._database, query))

    async def create(
        self, values: Mapping[str, Any], *, once: Once | None = None
    ) -> Row:
        """Insert a row; see Store for `once`."""
        self._refuse_known(once)
        self._refuse_unfit(values)
        with self._database.change() as change:
            stored = self._put_new(change, values)
        return self._answered(self._row(stored, new=True), once)

    async def create_many(
        self, rows: Sequence[Mapping[str, Any]], *, once: Once | None = None
    ) -> bytes:
        """Insert all rows or none; return them as a JSON list, in the order given."""
        if not rows:
            return b"[]"
        self._refuse_known(once)
        self._refuse_unfit(_columns(rows))
        with self._database.change() as change:
            stored = [
                _numbered(index, self._put_new, change, row)
                for index, row in enumerate(rows)
            ]
        body = self._renderer.rows(each.values for each in stored)
        return self._answered(Row(body=body, tag=""), once).body

    async def update(
        self, key: Any, values: Mapping[str, Any], *, match: Match = None
    ) -> Row:
        """Change the fields given and no others; return the row.

        Raises NotFound, and StaleVersion for a row of another version than `match`.
        """
        self._refuse_unfit(values)
        changed = {self._layout.fields[n]: value for n, value in values.items()}
        with self._database.change() as change:
            stored = self._matched(self._found(change, key), key, match)
            if changed:
                stored = self._put(change, stored, changed)
        return self._row(stored)

    async def update_many(self, rows: Sequence[Mapping[str, Any]]) -> bytes:
        """Change in each row the fields it gives beside its key; all rows or none."""
        keys, changes = split_keys(self._keys, rows)
        self._refuse_unfit(_columns(changes))
        fields = self._layout.fields
        with self._database.change() as change:
            found = self._found_all(change, keys)
            stored = [
                _numbered(index, self._put, change, row, named) if named else row
                for index, (row, values) in enumerate(zip(found, changes, strict=True))
                for named in [{fields[n]: value for n, value in values.items()}]
            ]
        return self._renderer.rows(each.values for each in stored)

    async def delete(self, key: Any, *, hard: bool, match: Match = None) -> None:
        """Mark the row as deleted, or remove it; raises as `update` does."""
        with self._database.change() as change:
            stored = self._found(change, key, marked=self._removes(hard=hard))
            self._delete(change, self._matched(stored, key, match), hard=hard)

    async def delete_many(self, keys: Sequence[Any], *, hard: bool) -> None:
        """Mark all of these rows as deleted, or remove them; all rows or none."""
        with self._database.change() as change:
            found = self._found_all(change, keys, marked=self._removes(hard=hard))
            for stored in found:
                self._delete(change, stored, hard=hard)

    async def restore(self, key: Any, *, match: Match = None) -> Row:
        """Take back the mark of deletion; raises as `update` does."""
        mark = self._layout.soft_delete
        if mark is None:
            raise Misconfigured(f"table {self._table.name!r} has no soft delete")
        back = True if isinstance(mark.type, Boolean) else None
        with self._database.change() as change:
            stored = self._found(change, key, marked=True)
            stored = self._put(change, self._matched(stored, key, match), {mark: back})
        return self._row(stored)

    async def upsert(
        self, values: Mapping[str, Any], *, on: Sequence[str], changing: Collection[str]
    ) -> Row:
        """Insert a row, or change the one that has the same values in the fields `on`.

        A known row changes in the fields `changing` alone, and is deleted no more.
        """
        known_by(on, self._layout.stamped, [values])
        self._refuse_unfit(values)
        with self._database.change() as change:
            stored, created = self._put_or_change(change, values, on, changing)
        return replace(self._row(stored, new=True), created=created)

    async def upsert_many(
        self,
        rows: Sequence[Mapping[str, Any]],
        *,
        on: Sequence[str],
        changing: Sequence[Collection[str]],
    ) -> bytes:
        """Insert or change each row, as `upsert` does; all rows or none."""
        refuse_twice(on, known_by(on, self._layout.stamped, rows))
        self._refuse_unfit(_columns(rows))
        with self._database.change() as change:
            stored = [
                _numbered(index, self._put_or_change, change, row, on, fields)[0]
                for index, (row, fields) in enumerate(zip(rows, changing, strict=True))
            ]
        return self._renderer.rows(each.values for each in stored)

    async def relate(
        self,
        key: Any,
        relation: str,
        change: Relating,
        ids: Sequence[Any],
        *,
        match: Match = None,
    ) -> str:
        """Set, add or remove related rows; return the tag of the row's version."""
        link = self._layout.links[relation]
        with self._database.change() as tables:
            stored = self._matched(self._found(tables, key), key, match)
            there = self._visible(tables, relation)
            unknown = [n for n, value in enumerate(ids) if value not in there]
            if unknown and change != "remove":
                raise unrelated(relation, unknown)
            before = there & set(self._related(tables, stored.values, link))
            after = _AFTER[change](before, there & set(ids))
            self._relink(tables, stored.values, link, before, after)
            if before != after:
                stored = self._put(tables, stored, {})
        return stored.tag

    async def related(self, key: Any, relation: str) -> bytes:
        """Return the JSON list of the ids of related rows, in their order."""
        values = self._found(self._database, key).values
        ids = self._related(self._database, values, self._layout.links[relation])
        return to_json(sorted(self._visible(self._database, relation) & set(ids)))

    def _visible(self, tables: Tables, relation: str) -> set[Any]:
        """Return what the rows are known by that a relation may lead to."""
        link, scope = self._layout.links[relation], self._layout.related.get(relation)
        is_active = active(link.soft_delete)
        rows = tables.rows(link.other.table)
        return {r[link.other] for r in rows if is_active(r) and is_within(scope, r)}

    def _related(self, tables: Tables, values: Values, link: Link) -> Iterable[Any]:
        for row in tables.rows(link.table):
            if all(row[inner] == values[outer] for outer, inner in link.owners):
                yield row[link.through]

    def _relink(
        self,
        change: Change,
        values: Values,
        link: Link,
        before: set[Any],
        after: set[Any],
    ) -> None:
        """Write the rows between, from what was related to what will be."""
        owner = {inner: values[outer] for outer, inner in link.owners}
        columns = link.table.primary_key.columns
        for value in before - after:
            row = {**owner, link.through: value}
            change.remove(link.table, tuple(row[column] for column in columns))
        for value in after - before:
            change.put(link.table, {**owner, link.through: value})

    def _put_or_change(
        self,
        change: Change,
        values: Mapping[str, Any],
        on: Sequence[str],
        changing: Collection[str],
    ) -> tuple[Stored, bool]:
        row = self._new_row(change, values)
        known = self._known(change, row, [self._layout.fields[name] for name in on])
        if known is None:
            return change.put(self._table, row), True
        if not is_within(self._layout.scope, known.values):
            raise Duplicate().naming(tuple(on))
        fields = {self._layout.fields[name]: values[name] for name in changing}
        mark = self._layout.soft_delete
        if mark is not None:
            fields = {mark: True if isinstance(mark.type, Boolean) else None, **fields}
        if changing:
            return self._put(change, known, fields), False
        changed = {**known.values, **fields}
        self._check(changed, change)
        key = _key(self._layout, known.values)
        return change.put(self._table, changed, at=key), False

    def _known(
        self, change: Change, row: Values, on: Sequence[Column[Any]]
    ) -> Stored | None:
        """Return the row that is in the way of a new one."""
        where = unique_where(self._table, on)
        meets = (lambda *_: True) if where is None else reader(where)
        if meets(row, change.now) is not True:
            return None
        for stored in change.table(self._table).values():
            same = all(stored.values[column] == row[column] for column in on)
            if same and meets(stored.values, change.now) is True:
                return stored
        return None

    def _refuse_known(self, once: Once | None) -> None:
        if once is not None:
            now = self._database.now()
            self._database.answers.refuse_known(self._layout, once, now)

    def _answered(self, row: Row, once: Once | None) -> Row:
        if once is not None:
            now = self._database.now()
            self._database.answers.keep(self._layout, once, row, now)
        return row

    def _shown(self, values: Values, show: Show) -> bytes:
        """Return the JSON of what is shown of a row, and of its related rows."""
        related = {
            name: self._embeds[name].json(values, self._database)
            for name in show.include
        }
        return self._renderer.row(values, show.fields, related)

    def _found(self, tables: Tables, key: Any, *, marked: bool = False) -> Stored:
        """Return the row with this key; one with a moment of deletion only if asked."""
        values = key if len(self._layout.keys) > 1 else (key,)
        stored = tables.table(self._table).get(tuple(values))
        if (
            stored is None
            or not (marked or is_readable(self._layout, stored.values))
            or not is_within(self._layout.scope, stored.values)
        ):
            raise NotFound(model=self._model, key=key)
        return stored

    def _found_all(
        self, tables: Tables, keys: Sequence[Any], *, marked: bool = False
    ) -> Sequence[Stored]:
        """Return the rows with these keys, or raise with the indexes of the missing."""
        refuse_twice(self._keys, keys)
        found, missing = [], []
        for index, key in enumerate(keys):
            try:
                found.append(self._found(tables, key, marked=marked))
            except NotFound:
                missing.append(index)
        if missing:
            raise missing_rows(self._model, self._keys, keys, missing)
        return found

    def _removes(self, *, hard: bool) -> bool:
        return hard or self._layout.soft_delete is None

    def _delete(self, change: Change, stored: Stored, *, hard: bool) -> None:
        mark = None if hard else self._layout.soft_delete
        if mark is None:
            change.remove(self._table, _key(self._layout, stored.values))
        else:
            gone = False if isinstance(mark.type, Boolean) else change.now
            self._put(change, stored, {mark: gone})

    def _matched(self, stored: Stored, key: Any, match: Match) -> Stored:
        if match is not None and stored.tag not in match:
            raise StaleVersion(f"{self._model} ID {key} has changed since it was read")
        return stored

    def _put_new(self, change: Change, values: Mapping[str, Any]) -> Stored:
        return change.put(self._table, self._new_row(change, values))

    def _new_row(self, change: Change, values: Mapping[str, Any]) -> Values:
        given = {self._layout.fields[name]: value for name, value in values.items()}
        given |= self._stamps(change)
        row: dict[Column[Any], Any] = {}
        for column, default in self._defaults.items():
            if column in given:
                value = given[column]
            elif default is not None:
                value = default(values, change.now)
            else:
                value = change.number(column) if numbers(column) else None
            row[column] = taken(column, value)
        self._check(row, change)
        return row

    def _stamps(self, change: Change) -> Mapping[Column[Any], Any]:
        """Return what new rows have in some columns, whatever is given for them."""
        scope = self._layout.scope
        equal = {} if scope is None else scope.equalities(self._table)
        return {c: reader(value)({}, change.now) for c, value in equal.items()}

    def _check(self, row: Values, change: Change) -> None:
        check_row(self._table, row, change.now)
        if not is_within(self._layout.scope, row):
            raise Forbidden("The row would be outside of what you may touch.")

    def _put(
        self, change: Change, stored: Stored, changed: Mapping[Column[Any], Any]
    ) -> Stored:
        named = {self._names[column]: value for column, value in changed.items()}
        fresh = {
            column: default(named, change.now)
            for column, default in self._touched.items()
            if column not in changed
        }
        given = {**changed, **fresh}
        row = {**stored.values, **{c: taken(c, value) for c, value in given.items()}}
        self._check(row, change)
        return change.put(self._table, row, at=_key(self._layout, stored.values))

    def _refuse_unfit(self, values: Mapping[str, Any]) -> None:
        """Raise Invalid where numbers are too large or texts are too long."""
        fields = self._layout.fields
        large, long = too_large(fields, values), too_long(fields, values)
        if large or long:
            error = Invalid() if large else from_sqlstate("22001")
            error.errors = (*large, *long)
            raise error

    def _row(self, stored: Stored, *, new: bool = False) -> Row:
        body = self._renderer.row(stored.values)
        key = _key(self._layout, stored.values) if new else ()
        one = key[0] if len(key) == 1 else key
        return Row(body=body, tag=stored.tag, key=one if new else None)


_AFTER: Mapping[str, Callable[[set[Any], set[Any]], set[Any]]] = {
    "add": set.union,
    "remove": set.difference,
    "set": lambda _before, given: given,
}


def _numbered(index: int, write: Callable[..., T], *given: Any) -> T:
    """Write a row of a batch; what is wrong with it has the row's index."""
    try:
        return write(*given)
    except HowdahError as error:
        error.errors = tuple(replace(fault, index=index) for fault in error.errors)
        raise


def _columns(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the values of rows, field by field."""
    names = {name for row in rows for name in row}
    return {name: [row.get(name) for row in rows] for name in names}


def _key(layout: Layout, values: Values) -> Key:
    return tuple(values[column] for column in layout.keys)


def _sliced(
    rows: Sequence[Values], page: Page, order: Order
) -> tuple[list[Values], bool]:
    """Return the rows of a page, and whether more follow in its direction."""
    if isinstance(page, OffsetPage):
        rest = rows[page.skip :]
        return list(rest[: page.limit]), len(rest) > page.limit
    backward = page.direction == "prev"
    rest = rows
    if page.position is not None:
        position = read_position(order.columns, page.position)
        rest = [r for r in rows if order.behind(r, position, backward=backward)]
    more = len(rest) > page.limit
    return list(rest[-page.limit :] if backward else rest[: page.limit]), more
