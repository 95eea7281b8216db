"""What OpenAPI says of answers that a client chose the parts of.

`fields` may leave out any field, and `include` may add a relation. So an answer is
described as a whole row, or as some of one, each relation optional in both; a client
that asks for no fields gets whole rows always.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, create_model
from pydantic import Field as Described
from pydantic.fields import FieldInfo

from howdah.errors import Misconfigured
from howdah.resource.rows import Rows
from howdah.statements import Embed

__all__ = ("page_model", "row_model")


def row_model(resource: Rows[Any]) -> Any:
    """Return the type of one row, whole or in parts."""
    schema = resource.read_schema
    embeds = tuple(resource.embeds.items())
    return _whole(schema, embeds) | _part(schema, embeds)


def page_model(resource: Rows[Any]) -> Any:
    """Return the type of a page of rows: a list, or an envelope with one."""
    row: Any = row_model(resource)
    rows = list[row]
    if not resource.envelope:
        return rows
    fields: Any = {"items": (rows, ...)}
    fields |= dict.fromkeys(("total", "skip", "limit"), (int, ...))
    return create_model(f"{resource.name}Page", **fields)


_Embeds = tuple[tuple[str, Embed], ...]


@cache
def _whole(schema: type[BaseModel], embeds: _Embeds) -> type[BaseModel]:
    if not embeds:
        return schema
    fields = {name: _field(info) for name, info in schema.model_fields.items()}
    return _model(schema, "WithRelated", fields, embeds)


@cache
def _part(schema: type[BaseModel], embeds: _Embeds) -> type[BaseModel]:
    fields = {
        name: _field(info, absent=True) for name, info in schema.model_fields.items()
    }
    return _model(schema, "Part", fields, embeds)


def _model(
    schema: type[BaseModel], suffix: str, fields: Mapping[str, Any], embeds: _Embeds
) -> type[BaseModel]:
    related = {name: (_related(embed), _absent()) for name, embed in embeds}
    model: type[BaseModel] = create_model(
        f"{schema.__name__}{suffix}",
        __module__=schema.__module__,
        __doc__=schema.__doc__,
        **{**fields, **related},
    )
    return model


def _related(embed: Embed) -> Any:
    schema: Any = embed.layout.schema
    if schema is None:
        raise Misconfigured(f"the rows of {embed.layout.table.name} have no schema")
    return list[schema] if embed.many else schema | None


def _field(info: FieldInfo, *, absent: bool = False) -> tuple[Any, Any]:
    """Return a field like another, for a model of our own: no validators, no table."""
    described: dict[str, Any] = {
        "serialization_alias": info.serialization_alias,
        "title": info.title,
        "description": info.description,
        "examples": info.examples,
        "json_schema_extra": info.json_schema_extra,
    }
    given = {name: value for name, value in described.items() if value is not None}
    annotation = info.rebuild_annotation()
    return annotation, _absent(**given) if absent else Described(**given)


def _absent(**described: Any) -> Any:
    """Return a field that may be left out, with no default for OpenAPI to tell of."""
    return Described(default_factory=lambda: None, **described)
