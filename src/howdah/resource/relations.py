"""What `include` of a declaration says, read into what statements understand.

The related resource decides what is seen of its rows: its read schema, its soft
delete. It is not asked what it embeds itself, so relations may lead in circles.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

import howdah.statements
from howdah.errors import Misconfigured
from howdah.models import relationships
from howdah.query import Sort
from howdah.resource.declaration import (
    Declaration,
    Embed,
    read_layout,
    schema_layout,
)
from howdah.statements import Layout

__all__ = ("related_resources", "with_embeds")


def with_embeds(cls: type[Declaration], layout: Layout) -> Layout:
    """Return the layout with the relations that may be embedded."""
    embeds = {name: _embed(cls, layout, name) for name in cls.include}
    return replace(layout, embeds=embeds)


def related_resources(cls: type[Declaration]) -> Mapping[str, type[Declaration]]:
    """Return the resources of the relations that may be embedded, where there are."""
    given = {name: cls.include[name] for name in cls.include}
    shown = {
        name: _resolved(it.shown if isinstance(it, Embed) else it)
        for name, it in given.items()
    }
    return {name: it for name, it in shown.items() if issubclass(it, Declaration)}


def _embed(
    cls: type[Declaration], layout: Layout, name: str
) -> "howdah.statements.Embed":
    relations = relationships(cls.model)
    if name not in relations:
        raise Misconfigured(
            f"{cls.__name__}: include names {name}, but {cls.model.__name__} has no "
            f"such relation; it has {', '.join(relations) or 'none'}"
        )
    if name in layout.columns:
        raise Misconfigured(
            f"{cls.__name__}: include names {name}, which {cls.read_schema.__name__} "
            "has as a field already; name one of them differently"
        )
    given = cls.include[name]
    embed = given if isinstance(given, Embed) else Embed(given)
    there = _layout(cls, name, embed, relations[name])
    relation = getattr(cls.model, name)
    return howdah.statements.Embed(
        relation=relation,
        layout=there,
        many=bool(relation.property.uselist),
        limit=_limit(cls, name, embed),
        sort=_sort(cls, name, embed.sort, there),
    )


def _layout(
    cls: type[Declaration], name: str, embed: Embed, model: type[Any]
) -> Layout:
    """Return how the related rows are shown: by their resource, or by a schema."""
    shown = _resolved(embed.shown)
    if isinstance(shown, type) and issubclass(shown, BaseModel):
        return schema_layout(cls, shown, model)
    if not (isinstance(shown, type) and issubclass(shown, Declaration)):
        raise Misconfigured(
            f"{cls.__name__}: include[{name!r}] is {shown!r}; give a resource or a "
            "schema, or a function that returns one"
        )
    if not issubclass(model, shown.model):
        raise Misconfigured(
            f"{cls.__name__}: include[{name!r}] is {shown.__name__}, a resource of "
            f"{shown.model.__name__}, but the relation leads to {model.__name__}"
        )
    return read_layout(shown)


def _resolved(shown: type[Any] | Callable[[], type[Any]]) -> Any:
    return shown if isinstance(shown, type) else shown()


def _limit(cls: type[Declaration], name: str, embed: Embed) -> int:
    if embed.limit < 1:
        raise Misconfigured(
            f"{cls.__name__}: include[{name!r}] has the limit {embed.limit}; it has to "
            "be 1 or more"
        )
    return embed.limit


def _sort(
    cls: type[Declaration], name: str, sort: Sequence[str], there: Layout
) -> tuple[Sort, ...]:
    order = tuple(part for text in sort for part in Sort.read(text))
    unknown = [part.field for part in order if part.field not in there.fields]
    if unknown:
        raise Misconfigured(
            f"{cls.__name__}: include[{name!r}] is sorted by {', '.join(unknown)}, "
            f"which {there.table.name} has not; it has {', '.join(there.fields)}"
        )
    return order
