"""What is done with the rows of a declared model: one method an action, over a Store.

Each may be overridden alone. No path, no status, no header.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from pydantic import BaseModel
from sqlalchemy import Column

from howdah.database import Database
from howdah.errors import FieldError, Invalid, Misconfigured
from howdah.models import python_type
from howdah.paging import Links, Page, Slice
from howdah.query import SHOW_ALL, Query, Show
from howdah.resource.access import refuse_unknown
from howdah.resource.caller import Caller, is_declared
from howdah.resource.choice import chosen_store
from howdah.resource.declaration import Declaration, read_language, read_layout
from howdah.resource.keeping import Kept
from howdah.resource.relations import related_resources, with_related
from howdah.resource.spelling import refuse_misspelt
from howdah.schemas import is_readable
from howdah.sent import ReadRows, SentChanges, SentRows, Values, sent
from howdah.statements import Layout, Link
from howdah.store import Change, Match, Once, Row, Store

if TYPE_CHECKING:
    from howdah.documents import MongoDatabase
    from howdah.memory import MemoryDatabase

__all__ = ("Rows",)

M = TypeVar("M")


class Rows(Declaration, Generic[M]):
    """The rows of one model, as a declaration shows them."""

    def __init__(
        self,
        db: "Database | MemoryDatabase | MongoDatabase",
        *,
        store: Store | None = None,
    ) -> None:
        refuse_misspelt(type(self))
        layout = with_related(type(self), read_layout(type(self)))
        self.db = db
        self.name: str = self.model.__name__
        self.plural: str = layout.table.name
        self.embeds = layout.embeds
        self.fields = layout.fields
        self.keys = _key_fields(type(self), layout)
        self._kept = Kept(self.stored_as, layout.fields)
        self.links: Mapping[str, Link] = layout.links
        self.read: dict[tuple[bool, bytes], tuple[Query, Page, Links]] = {}
        """What addresses of lists have been found to ask; words or not, and query."""
        self.language = read_language(type(self), layout)
        self._store = store or chosen_store(type(self), db, layout)
        self._callers: ContextVar[Store | None] = ContextVar("caller", default=None)
        self._mine: Store | None = None
        self.caller = Caller(self, tuple(self.keys), self._related)
        self.keeps_answers = layout.kept is not None
        _check_overrides(type(self))
        refuse_unknown(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    def _related(self) -> Mapping[str, "Rows[Any]"]:
        """Return the resources of related rows that do not belong to everybody."""
        related = related_resources(type(self))
        return {
            name: cls(self.db)
            for name, cls in related.items()
            if issubclass(cls, Rows) and is_declared(cls, "scope")
        }

    @property
    def store(self) -> Store:
        """The store of who calls; of rows that belong to nobody, the store itself."""
        store = self._mine or self._callers.get()
        if store is not None:
            return store
        if self.caller.is_known:
            raise Misconfigured(
                f"{type(self).__name__} has a scope or hooks, and nobody is known to "
                "call; take Depends(resource.scoped) in an endpoint of your own"
            )
        return self._store

    @cached_property
    def scoped(self) -> Callable[..., Awaitable[Self]]:
        """A dependency: the resource as there is of it for who calls, hooks included.

        For plain endpoints: `items: Annotated[Items, Depends(resource.scoped)]`.
        """
        return self.solving(writes=True)

    def solving(self, *, writes: bool) -> Callable[..., Awaitable[Self]]:
        """Return a dependency as `scoped`, which may know that nothing is written."""

        def scoped(limit: Callable[[Store], Store]) -> Any:
            # As `copy` does it, in a fraction of its time.
            mine = object.__new__(type(self))
            vars(mine).update(vars(self), _mine=limit(self._store))
            return mine

        return self.caller.dependency(scoped, writes=writes)

    @contextmanager
    def calling(self, mine: "Rows[M]") -> Iterator[None]:
        """Let the store be that of who calls, as `scoped` gave it, inside the block."""
        token = self._callers.set(mine.store)
        try:
            yield
        finally:
            self._callers.reset(token)

    @property
    def never_null(self) -> frozenset[str]:
        """The fields of changes for which null is no value that a row may have.

        There are none where code of one's own may make something of it.
        """
        cls = type(self)
        own = cls.update is not Rows.update or cls.update_many is not Rows.update_many
        if own or is_declared(cls, "before_write"):
            return frozenset()
        fields = self._kept.taken
        names = self.update_schema.model_fields.keys() & fields.keys()
        return frozenset(name for name in names if not fields[name].nullable)

    async def get(self, key: Any, *, show: Show = SHOW_ALL) -> Row:
        """Return one row, or raise NotFound; `show` says what of it."""
        return await self.store.get(key, show=show)

    async def list(self, query: Query, page: Page) -> Slice:
        """Return a page of rows; searches come through here as well."""
        return await self.store.list(query, page)

    async def count(self, query: Query) -> int:
        """Return how many rows a list of all pages would have."""
        return await self.store.count(query)

    async def create(self, values: BaseModel, *, once: Once | None = None) -> Row:
        """Insert a row; `once` is there where the request has an Idempotency-Key."""
        row = sent(values, self._kept.taken)
        if self.stored_as:
            row = await self._kept.one(row)
        return await self.store.create(row, once=once)

    async def create_many(
        self, rows: Sequence[BaseModel], *, once: Once | None = None
    ) -> bytes:
        """Insert all rows or none; return their JSON in the order given."""
        given: Values = SentRows(rows, self._kept.taken)
        if self.stored_as:
            given = await self._kept.all(given)
        return await self.store.create_many(given, once=once)

    async def put(self, values: BaseModel) -> Row:
        """Insert a row, or change the one known by the fields of `upsert`."""
        self._refuse_unknowable([values])
        row, changing = sent(values, self._kept.taken), self._changing(values)
        if self.stored_as:
            row, changing = await self._kept.one(row), self._kept.names(changing)
        return await self.store.upsert(row, on=self.upsert, changing=changing)

    async def put_many(self, rows: Sequence[BaseModel]) -> bytes:
        """Insert each row or change the known one, all or none; return them as JSON."""
        self._refuse_unknowable(rows, numbered=True)
        given: Values = SentRows(rows, self._kept.taken)
        changing = self._changes(rows)
        if self.stored_as:
            given = await self._kept.all(given)
            changing = [self._kept.names(each) for each in changing]
        return await self.store.upsert_many(given, on=self.upsert, changing=changing)

    def _changing(self, values: BaseModel) -> frozenset[str]:
        """Return the fields in which what is put changes a known row."""
        return self._free & values.model_fields_set

    def _changes(self, rows: Sequence[BaseModel]) -> Sequence[frozenset[str]]:
        free = self._free
        if not isinstance(rows, ReadRows):
            return [free & row.model_fields_set for row in rows]
        if rows.full:
            return [free & rows.schema.model_fields.keys()] * len(rows)
        return [free & row.keys() for row in rows.given]

    @property
    def _free(self) -> frozenset[str]:
        fixed = {*self.upsert, *self.keys}
        return frozenset(self.update_schema.model_fields.keys() - fixed)

    def _refuse_unknowable(
        self, rows: Sequence[BaseModel], *, numbered: bool = False
    ) -> None:
        """Raise Invalid for rows without a value by which they could be known."""
        lacking = tuple(
            FieldError(
                field=name,
                index=index if numbered else None,
                code=Invalid.code,
                message="has to be given, since the row is known by it",
            )
            for index, row in enumerate(_looked_at(rows))
            for name in self.upsert
            if row.get(name, self) is None
        )
        if lacking:
            raise Invalid(errors=lacking)

    async def update(self, key: Any, values: BaseModel, *, match: Match = None) -> Row:
        """Change the fields that were sent, and no others; see Store.update."""
        sent = values.model_dump(exclude_unset=True)
        if self.stored_as:
            sent = await self._kept.one(sent)
        return await self.store.update(key, sent, match=match)

    async def update_many(self, rows: Sequence[BaseModel]) -> bytes:
        """Change in each row the fields that were sent; all rows or none."""
        sent: Values = (
            SentChanges(rows)
            if isinstance(rows, ReadRows)
            else [row.model_dump(exclude_unset=True) for row in rows]
        )
        if self.stored_as:
            sent = await self._kept.all(sent)
        return await self.store.update_many(sent)

    async def delete(self, key: Any, *, hard: bool, match: Match = None) -> None:
        """Mark the row as deleted, or remove it."""
        await self.store.delete(key, hard=hard, match=match)

    async def delete_many(self, keys: Sequence[Any], *, hard: bool) -> None:
        """Mark all of these rows as deleted, or remove them; all rows or none."""
        await self.store.delete_many(keys, hard=hard)

    async def restore(self, key: Any, *, match: Match = None) -> Row:
        """Take back the mark of deletion."""
        return await self.store.restore(key, match=match)

    async def related(self, key: Any, relation: str) -> bytes:
        """Return the ids of related rows, as a JSON list in their order."""
        return await self.store.related(key, relation)

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
        return await self.store.relate(key, relation, change, ids, match=match)


def _key_fields(cls: type[Rows[Any]], layout: Layout) -> Mapping[str, Column[Any]]:
    """Return the key's columns by their fields, or raise Misconfigured."""
    names = {column: name for name, column in layout.fields.items()}
    for column in layout.keys:
        kind: Any = python_type(column.type)
        if not is_readable(kind):
            raise Misconfigured(
                f"{cls.__name__}: the key {names[column]} is {column.type!r}, which "
                "nobody can write into a path; give the model a key of another type"
            )
    return {names[column]: column for column in layout.keys}


def _looked_at(rows: Sequence[BaseModel]) -> Values:
    """Return what rows hold; None for what one that was read leaves out."""
    if not isinstance(rows, ReadRows):
        return [row.__dict__ for row in rows]
    empty = dict.fromkeys(rows.schema.model_fields)
    return rows.values if rows.full else [{**empty, **row} for row in rows.values]


def _check_overrides(cls: type[Rows[Any]]) -> None:
    """Raise Misconfigured for an action that could not be called."""
    for name in ("update", "delete", "restore", "relate"):
        parameters = inspect.signature(getattr(cls, name)).parameters.values()
        if not any(p.name == "match" or p.kind is p.VAR_KEYWORD for p in parameters):
            raise Misconfigured(
                f"{cls.__name__}.{name} takes no match; declare it as in "
                f"`async def {name}(self, ..., match: Match = None)`, since If-Match "
                "comes through it"
            )
