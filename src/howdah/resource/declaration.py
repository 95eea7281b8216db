"""A resource's class attributes, read into what the floors below understand.

What a declaration lacks or gets wrong is said here, when the app starts.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

from pydantic import BaseModel
from sqlalchemy import Column

from howdah.errors import Misconfigured
from howdah.models import (
    declared_model,
    kept_answers,
    mapped_columns,
    relationships,
)
from howdah.query import Field, Language
from howdah.resource.given import (
    Derived,
    created,
    refuse_owned,
    refuse_secrets,
    shown,
    updated,
)
from howdah.schemas import filter_type
from howdah.settings import PageLimits
from howdah.statements import Layout, Target

__all__ = ("Declaration", "read_language", "read_layout")


class Declaration:
    """What a resource says of itself: only what is declared can be read or written."""

    model: ClassVar[type[Any]]
    # A descriptor that has the type of what it gives; see `given`.
    create_schema: ClassVar[type[BaseModel]] = cast("Any", Derived(created))
    """What new rows are made of; where none is given, derived from the model."""
    update_schema: ClassVar[type[BaseModel]] = cast("Any", Derived(updated))
    """What of a row can be changed; where none is given, derived from the model."""
    read_schema: ClassVar[type[BaseModel]] = cast("Any", Derived(shown))
    """What of a row is seen; where none is given, all but secret columns."""
    server_owned: ClassVar[tuple[str, ...]] = ()
    """Fields that people never write, beside keys and moments that are made."""
    search: ClassVar[tuple[str, ...]] = ()
    """Text columns that `GET /search?q=` looks into; without any there is no search."""
    soft_delete: ClassVar[str | None] = None
    """A boolean like `is_active`, or a moment like `deleted_at`."""
    filters: ClassVar[tuple[str, ...]] = ()
    """Fields to filter by, as `price` or, over a relation, `category__name`."""
    sort: ClassVar[tuple[str, ...]] = ()
    """Fields to sort by; the primary key always breaks ties."""
    envelope: ClassVar[bool] = False
    """Answer lists as `{"items", "total", "skip", "limit"}` instead of bare."""
    require_match: ClassVar[bool] = False
    """Refuse changes that do not say by If-Match which version they are meant for."""
    page: ClassVar[PageLimits] = PageLimits()
    batch: ClassVar[int] = 10_000
    """Most rows of one batch."""
    body: ClassVar[int] = 16 * 1024 * 1024
    """Most bytes of a request's body."""

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
    for schema in (cls.create_schema, cls.update_schema):
        _columns(cls, schema.__name__, schema.model_fields, fields)
        refuse_owned(cls, schema, fields)
    names = {
        info.serialization_alias or name: name
        for name, info in cls.read_schema.model_fields.items()
    }
    found = _columns(cls, cls.read_schema.__name__, names.values(), fields)
    for where, named in (
        (cls.read_schema.__name__, names.values()),
        ("search", cls.search),
        ("sort", cls.sort),
    ):
        refuse_secrets(cls, where, named, fields)
    mark = (cls.soft_delete,) if cls.soft_delete else ()
    return Layout(
        table=cls.model.__table__,
        columns=dict(zip(names, found, strict=True)),
        fields=fields,
        search=_columns(cls, "search", cls.search, fields),
        soft_delete=next(iter(_columns(cls, "soft_delete", mark, fields)), None),
        filters={name: _target(cls, name, fields) for name in cls.filters},
        schema=cls.read_schema,
        kept=kept_answers(cls.model.__table__.metadata),
    )


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
    return Language(
        filters=[
            Field(name=name, annotation=filter_type(target.column))
            for name, target in layout.filters.items()
        ],
        sort=cls.sort,
        soft_delete=cls.soft_delete is not None,
    )


def _target(
    cls: type[Declaration], name: str, fields: Mapping[str, Column[Any]]
) -> Target:
    """Return what a filter compares: a column, or one behind a relation."""
    relation, _, reached = name.partition("__")
    if not reached:
        (column,) = _columns(cls, "filters", (name,), fields)
        refuse_secrets(cls, "filters", (name,), fields)
        return Target(column=column)
    relations = relationships(cls.model)
    if relation not in relations:
        raise Misconfigured(
            f"{cls.__name__}: filters names {name}, but {cls.model.__name__} has no "
            f"relation {relation}; it has {', '.join(relations) or 'none'}"
        )
    there = mapped_columns(relations[relation])
    (column,) = _columns(cls, "filters", (reached,), there)
    refuse_secrets(cls, "filters", (reached,), there)
    return Target(column=column, via=getattr(cls.model, relation))


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
