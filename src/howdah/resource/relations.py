"""What `include` and `relations` of a declaration say, for statements to understand.

The related resource decides what is seen of its rows: its read schema, its soft
delete, its scope. It is not asked what it embeds itself, so relations may lead in
circles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from pydantic import BaseModel

import howdah.statements
from howdah.errors import Misconfigured
from howdah.models import relation_of, relationships
from howdah.query import Sort
from howdah.resource.declaration import (
    Declaration,
    Embed,
    read_layout,
    schema_layout,
)
from howdah.resource.given import refuse_secrets
from howdah.statements import Layout, Link

__all__ = ("related_resources", "with_related")


def with_related(cls: type[Declaration], layout: Layout) -> Layout:
    """Return the layout with the relations that may be embedded and written."""
    embeds = {name: _embed(cls, layout, name) for name in cls.include}
    links = {name: _link(cls, name, link) for name, link in layout.links.items()}
    return replace(layout, embeds=embeds, links=links)


def related_resources(cls: type[Declaration]) -> Mapping[str, type[Declaration]]:
    """Return the resources that the declaration's relations lead to, where known."""
    given = {**_given(cls.relations), **cls.include}
    shown = {name: _shown(it) for name, it in given.items()}
    return {name: it for name, it in shown.items() if _is_resource(it)}


def _given(relations: tuple[str, ...] | Mapping[str, Any]) -> Mapping[str, Any]:
    return relations if isinstance(relations, Mapping) else {}


def _link(cls: type[Declaration], name: str, link: Link) -> Link:
    """Return a relation with what its rows' resource says of them."""
    there = _linked(cls, name)
    if there is None:
        return link
    return replace(link, soft_delete=read_layout(there).soft_delete)


def _linked(cls: type[Declaration], name: str) -> type[Declaration] | None:
    """Return the resource of related rows; none where there are all that there are."""
    model = relationships(cls.model)[name]
    included = _shown(cls.include.get(name))
    known = included if _is_resource(included) else None
    if name not in _given(cls.relations):
        if known is None and cls.scope is not Declaration.scope:
            raise Misconfigured(
                f"{cls.__name__} has a scope, and relations names {name} without a "
                f"word on which {name} there are for who calls; give their resource, "
                f"or {model.__name__} for all: relations = {{{name!r}: ...}}"
            )
        return known
    given = _shown(_given(cls.relations)[name])
    if known is not None and given is not known:
        raise Misconfigured(
            f"{cls.__name__}: relations[{name!r}] is {given!r}, and include[{name!r}] "
            f"is {known.__name__}; give one resource for both"
        )
    if _is_resource(given):
        _check_resource(cls, f"relations[{name!r}]", given, model)
        return cast("type[Declaration]", given)
    if given is not model:
        raise Misconfigured(
            f"{cls.__name__}: relations[{name!r}] is {given!r}; give a resource of "
            f"{model.__name__}, or {model.__name__} itself for all of its rows"
        )
    return None


def _shown(given: Any) -> Any:
    return _resolved(given.shown if isinstance(given, Embed) else given)


def _is_resource(given: Any) -> bool:
    return isinstance(given, type) and issubclass(given, Declaration)


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
    relation = relation_of(cls.model, name)
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
    if not _is_resource(shown):
        raise Misconfigured(
            f"{cls.__name__}: include[{name!r}] is {shown!r}; give a resource or a "
            "schema, or a function that returns one"
        )
    _check_resource(cls, f"include[{name!r}]", shown, model)
    return read_layout(shown)


def _check_resource(
    cls: type[Declaration], place: str, there: type[Declaration], model: type[Any]
) -> None:
    if not issubclass(model, there.model):
        raise Misconfigured(
            f"{cls.__name__}: {place} is {there.__name__}, a resource of "
            f"{there.model.__name__}, but the relation leads to {model.__name__}"
        )


def _resolved(shown: Any) -> Any:
    is_function = callable(shown) and not isinstance(shown, type)
    return shown() if is_function else shown


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
    model = relationships(cls.model)[name]
    refuse_secrets(cls, f"include[{name!r}]", [part.field for part in order], model)
    return order
