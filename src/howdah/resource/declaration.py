"""A resource's class attributes, read into what the floors below understand.

What a declaration lacks or gets wrong is said here, when the app starts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import getattr_static
from types import MappingProxyType
from typing import Any, ClassVar, cast

from fastapi.params import Depends
from pydantic import BaseModel
from sqlalchemy import Column

from howdah.errors import Misconfigured
from howdah.models import (
    declared_model,
    kept_answers,
    mapped_columns,
    relation_of,
    relationships,
    table_of,
    unique_where,
)
from howdah.query import RESERVED, Field, Language, nearest
from howdah.resource.given import (
    Derived,
    check_created,
    check_stored,
    check_updated,
    created,
    refuse_owned,
    refuse_secrets,
    refuse_shown_secrets,
    shown,
    updated,
)
from howdah.schemas import filter_type
from howdah.search import FullText, FullTextColumn, full_text_column
from howdah.settings import PageLimits
from howdah.statements import Layout, Link, Target

__all__ = ("Declaration", "Embed", "read_language", "read_layout", "schema_layout")


@dataclass(frozen=True)
class Embed:
    """A relation whose rows may stand inside of those that they belong to.

    `Embed(Tags, limit=20, sort=("name",))`; a resource that stands further down, or
    the class itself, is given by a function: `Embed(lambda: Tags)`.
    """

    shown: type[Any] | Callable[[], type[Any]]
    """The resource of the related rows, or a schema for them."""
    limit: int = 100
    """Most rows of one parent, where the relation leads to many."""
    sort: tuple[str, ...] = ()
    """Their order, as `("-price", "name")`; the primary key breaks ties."""


class Declaration:
    """What a resource says of itself: only what is declared can be read or written."""

    model: ClassVar[type[Any]]
    # A descriptor that has the type of what it gives; see `given`.
    create_schema: ClassVar[type[BaseModel]] = cast(
        "Any", Derived(created, check_created)
    )
    """What new rows are made of; where none is given, derived from the model."""
    update_schema: ClassVar[type[BaseModel]] = cast(
        "Any", Derived(updated, check_updated)
    )
    """What of a row can be changed; where none is given, derived from the model."""
    read_schema: ClassVar[type[BaseModel]] = cast("Any", Derived(shown, shown))
    """What of a row is seen; where none is given, all but secret columns."""
    server_owned: ClassVar[tuple[str, ...]] = ()
    """Fields that people never write, beside keys and moments that are made."""
    search: ClassVar[tuple[str, ...] | FullText] = ()
    """Text columns that `GET /search?q=` looks into, or `FullText()` for words.

    Without any there is no search.
    """
    soft_delete: ClassVar[str | None] = None
    """A boolean like `is_active`, or a moment like `deleted_at`."""
    filters: ClassVar[tuple[str, ...]] = ()
    """Fields to filter by, as `price` or, over a relation, `category__name`."""
    aliases: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Names of your own for filters: `{"min_price": "price__gte"}`."""
    sort: ClassVar[tuple[str, ...]] = ()
    """Fields to sort by; the primary key always breaks ties."""
    unindexed: ClassVar[tuple[str, ...]] = ()
    """Fields, or "search", that need no index: `howdah dev` is silent about them."""
    include: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Relations that `include=` embeds: a resource, a schema or an `Embed` by name."""
    envelope: ClassVar[bool] = False
    """Answer lists as `{"items", "total", "skip", "limit"}` instead of bare."""
    upsert: ClassVar[tuple[str, ...]] = ()
    """Fields, unique together, by which `PUT /` tells new rows from known ones."""
    relations: ClassVar[tuple[str, ...] | Mapping[str, Any]] = ()
    """Relations of many to many whose ids can be read and written, `/{id}/tags`.

    By name the related rows' resource, whose scope and soft delete hold for them, or
    their model, for all rows. Without one it is that of `include`.
    """
    require_match: ClassVar[bool] = False
    """Refuse changes that do not say by If-Match which version they are meant for."""
    read_only: ClassVar[bool] = False
    """Have no action that writes."""
    without: ClassVar[tuple[str, ...]] = ()
    """Actions, or groups of them, that there are not: `("delete",)`."""
    only: ClassVar[tuple[str, ...]] = ()
    """Actions, or groups of them, beside which there are none; empty for all."""
    dependencies: ClassVar[Mapping[str, Sequence[Depends]]] = MappingProxyType({})
    """What FastAPI asks first, by action or group: `{"write": [Depends(admin)]}`."""
    page: ClassVar[PageLimits] = PageLimits()
    longest_list: ClassVar[int] = 10_000
    """Most values of a list in the body of a search; an address takes 100."""
    batch: ClassVar[int] = 10_000
    """Most rows of one batch."""
    orm: ClassVar[bool | None] = None
    """Go through the model's own sessions, whose validators and events run then.

    It costs more round trips. Where nothing is said it is done where it has to be: on
    SQLite, and where the read schema shows what PostgreSQL cannot write."""
    sync: ClassVar[bool] = False
    """Go through `db.sync_session`, in threads, as an app of `def` endpoints does.

    Answers stay what they are; it costs what `orm` does, and a thread."""
    stored_as: ClassVar[Mapping[str, tuple[str, Callable[[Any], Any]]]] = (
        MappingProxyType({})
    )
    """Fields of the schemas that are no columns, and what is stored of them.

    `{"password": ("hashed_password", hasher.hash)}` calls the function in a thread,
    before a hook or a store sees the value."""
    body: ClassVar[int] = 16 * 1024 * 1024
    """Most bytes of a request's body."""

    def scope(self, *args: Any, **kwargs: Any) -> Any:
        """Return the condition of the rows that there are for who calls.

        Declared with FastAPI's dependencies as parameters, `async` or not:
        `def scope(self, user: CurrentUser): return Item.owner_id == user.id`. All
        rows are `sqlalchemy.true()`, none are `sqlalchemy.false()`.
        """

    def before_write(self, change: Any, *args: Any, **kwargs: Any) -> Any:
        """Look at a `Change` before it is made: raise, or return another one.

        Declared with FastAPI's dependencies behind the change, `async` or not.
        """

    def after_write(self, change: Any, *args: Any, **kwargs: Any) -> Any:
        """Learn of a `Change` that is stored for good.

        What it raises is logged, and does not change the answer.
        """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        model = declared_model(cls)
        if model is not None:
            cls.model = model


def read_layout(cls: type[Declaration]) -> Layout:
    """Read the declaration, or raise Misconfigured that says what it lacks."""
    if not hasattr(cls, "model"):
        raise Misconfigured(f"{cls.__name__} has no model; declare it")
    fields = mapped_columns(cls.model)
    _columns(cls, "server_owned", cls.server_owned, fields)
    check_stored(cls, fields)
    for name in ("create_schema", "update_schema"):
        _check_writable(cls, name, fields)
    refuse_shown_secrets(cls, cls.read_schema, cls.model)
    names = {
        shown: name
        for shown, name in _names(cls.read_schema).items()
        if name in fields or cls.orm is False or not hasattr(cls.model, name)
    }
    found = _columns(cls, cls.read_schema.__name__, names.values(), fields)
    full_text = _full_text(cls)
    for where, named in (
        ("search", full_text.fields if full_text else _parts(cls.search)),
        ("sort", cls.sort),
    ):
        refuse_secrets(cls, where, named, cls.model)
    _check_upsert(cls, fields)
    mark = (cls.soft_delete,) if cls.soft_delete else ()
    return Layout(
        table=table_of(cls.model),
        columns=dict(zip(names, found, strict=True)),
        fields=fields,
        search=_columns(cls, "search", _parts(cls.search), fields),
        full_text=full_text,
        soft_delete=next(iter(_columns(cls, "soft_delete", mark, fields)), None),
        filters={name: _target(cls, name, fields) for name in cls.filters},
        schema=cls.read_schema,
        kept=kept_answers(table_of(cls.model).metadata),
        links={name: _link(cls, name) for name in cls.relations},
    )


def _check_writable(
    cls: type[Declaration], name: str, fields: Mapping[str, Column[Any]]
) -> None:
    """Raise Misconfigured for a schema that nobody could write rows by."""
    declared = getattr_static(cls, name)
    if isinstance(declared, Derived):
        # What is derived names what it may; many are never asked for.
        declared.check(cls)
        return
    schema: type[BaseModel] = getattr(cls, name)
    stored = [field for field in schema.model_fields if field not in cls.stored_as]
    _columns(cls, schema.__name__, stored, fields)
    refuse_owned(cls, schema, fields)


def schema_layout(
    cls: type[Declaration], schema: type[BaseModel], model: type[Any]
) -> Layout:
    """Return what a schema alone shows of a related model, or raise Misconfigured."""
    fields = mapped_columns(model)
    names = _names(schema)
    unknown = [name for name in names.values() if name not in fields]
    if unknown:
        raise Misconfigured(
            f"{cls.__name__}: {schema.__name__} names {', '.join(unknown)}, which "
            f"{model.__name__} has not; it has {', '.join(fields)}"
        )
    refuse_shown_secrets(cls, schema, model)
    columns = {shown: fields[name] for shown, name in names.items()}
    table = table_of(model)
    return Layout(table=table, columns=columns, fields=fields, schema=schema)


def _names(schema: type[BaseModel]) -> dict[str, str]:
    """Return the names of a schema's fields by the names that they have in JSON."""
    fields = schema.model_fields.items()
    return {info.serialization_alias or name: name for name, info in fields}


def read_language(cls: type[Declaration], layout: Layout) -> Language:
    """Return what may be asked of the resource, or raise Misconfigured."""
    shown = set(layout.columns.values())
    hidden = [n for n in cls.sort if layout.fields.get(n) not in shown]
    keys = [column.name for column in layout.keys if column not in shown]
    if keys or hidden:
        names = ", ".join(hidden or keys)
        raise Misconfigured(
            f"{cls.__name__}: pages are in the order of {names}, which "
            f"{cls.read_schema.__name__} does not show; add it there"
        )
    language = Language(
        filters=[
            Field(name=name, annotation=filter_type(target.column))
            for name, target in layout.filters.items()
        ],
        sort=cls.sort,
        soft_delete=cls.soft_delete is not None,
        fields=tuple(layout.columns),
        include=tuple(layout.embeds),
        longest_json_list=cls.longest_list,
    )
    _check_aliases(cls, language)
    return language.aliased(cls.aliases)


def _check_aliases(cls: type[Declaration], language: Language) -> None:
    """Raise Misconfigured for an alias of no filter, or by a name that is taken."""
    for name, meant in cls.aliases.items():
        if meant not in language.filters:
            raise Misconfigured(
                f"{cls.__name__}: aliases has {name} for {meant}, which is no filter"
                f"{nearest(meant, language.filters)}"
            )
        if name in {*language.names, *RESERVED}:
            raise Misconfigured(
                f"{cls.__name__}: aliases has {name} for {meant}, but {name} is a "
                "parameter already; choose another name"
            )


def _check_upsert(cls: type[Declaration], fields: Mapping[str, Column[Any]]) -> None:
    """Raise Misconfigured for fields by which nobody could tell a row."""
    if not cls.upsert:
        return
    unique_where(table_of(cls.model), _columns(cls, "upsert", cls.upsert, fields))
    given = {*cls.create_schema.model_fields}
    if cls.scope is not Declaration.scope:
        # New rows may get them from the scope; whether they do, each request tells.
        given |= {*cls.server_owned}
    lacking = [name for name in cls.upsert if name not in given]
    if lacking:
        raise Misconfigured(
            f"{cls.__name__}: upsert names {', '.join(lacking)}, which "
            f"{cls.create_schema.__name__} lacks; rows are known by what is sent"
        )
    if cls.require_match:
        raise Misconfigured(
            f"{cls.__name__} has both upsert and require_match, but who puts a row "
            "cannot name its version; drop one of them"
        )


def _parts(search: tuple[str, ...] | FullText) -> tuple[str, ...]:
    return () if isinstance(search, FullText) else search


def _full_text(cls: type[Declaration]) -> FullTextColumn | None:
    if not isinstance(cls.search, FullText):
        return None
    return full_text_column(table_of(cls.model), cls.search)


def _link(cls: type[Declaration], name: str) -> Link:
    """Return what relates rows to others, or raise Misconfigured."""
    known = relationships(cls.model)
    if name not in known:
        raise Misconfigured(
            f"{cls.__name__}: relations names {name}, but {cls.model.__name__} has no "
            f"such relation; it has {', '.join(known) or 'none'}"
        )
    return Link.of(relation_of(cls.model, name).property)


def _target(
    cls: type[Declaration], name: str, fields: Mapping[str, Column[Any]]
) -> Target:
    """Return what a filter compares: a column, or one behind a relation."""
    relation, _, reached = name.partition("__")
    if not reached:
        (column,) = _columns(cls, "filters", (name,), fields)
        refuse_secrets(cls, "filters", (name,), cls.model)
        return Target(column=column)
    relations = relationships(cls.model)
    if relation not in relations:
        raise Misconfigured(
            f"{cls.__name__}: filters names {name}, but {cls.model.__name__} has no "
            f"relation {relation}; it has {', '.join(relations) or 'none'}"
        )
    there = mapped_columns(relations[relation])
    (column,) = _columns(cls, "filters", (reached,), there)
    refuse_secrets(cls, "filters", (reached,), relations[relation])
    return Target(column=column, via=relation_of(cls.model, relation))


def _columns(
    cls: type[Declaration],
    where: str,
    names: Iterable[str],
    fields: Mapping[str, Column[Any]],
) -> tuple[Column[Any], ...]:
    unknown = [name for name in names if name not in fields]
    if unknown:
        raise Misconfigured(
            f"{cls.__name__}: {where} names {', '.join(unknown)}, which "
            f"{cls.model.__name__} has not; it has {', '.join(fields)}"
        )
    return tuple(fields[name] for name in names)
