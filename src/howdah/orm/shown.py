"""Rows as JSON, by their read schema: columns, and whatever else the model has."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from sqlalchemy import Column, inspect
from sqlalchemy.orm import Session, selectinload

from howdah.orm.found import values_of
from howdah.orm.related import Related
from howdah.query import SHOW_ALL, Show
from howdah.rendering import Renderer, json_list
from howdah.statements import Layout
from howdah.statements.scope import Scope

__all__ = ("Shown",)


class Shown:
    """How the rows of a model are shown."""

    def __init__(self, layout: Layout, model: type[Any]) -> None:
        self._renderer = Renderer(layout)
        self._names = {column: name for name, column in layout.fields.items()}
        self._related = {name: Related(e) for name, e in layout.embeds.items()}
        self.options = tuple(_loading(model, layout.schema, layout.related))
        """How relations that the schema shows are loaded: one query each."""

    def values(self, row: Any) -> Mapping[Column[Any], Any]:
        """Return a row's values by their columns."""
        return values_of(row, self._names)

    def row(self, session: Session, row: Any, show: Show = SHOW_ALL) -> bytes:
        """Return the JSON of a row."""
        return self._each(session, [row], show)[0]

    def rows(
        self, session: Session, rows: Sequence[Any], show: Show = SHOW_ALL
    ) -> bytes:
        """Return the JSON list of rows."""
        return json_list(self._each(session, rows, show))

    def _each(self, session: Session, rows: Sequence[Any], show: Show) -> list[bytes]:
        members = {
            name: self._related[name].json(session, rows) if rows else []
            for name in show.include
        }
        return [
            self._renderer.row(
                self.values(row),
                show.fields,
                {name: found[number] for name, found in members.items()},
                source=row,
            )
            for number, row in enumerate(rows)
        ]


def _loading(
    model: type[Any],
    schema: type[BaseModel] | None,
    related: Mapping[str, Scope],
    above: tuple[type, ...] = (),
) -> Iterator[Any]:
    """Yield how to load the relations that a schema shows, and theirs in turn."""
    if schema is None or schema in above:
        return
    relations = inspect(model).relationships
    for name, info in schema.model_fields.items():
        if name in relations:
            there = relations[name].mapper.class_
            inner = _schema_in(info.annotation)
            relation = getattr(model, name)
            if name in related:
                relation = relation.and_(related[name].condition)
            yield selectinload(relation).options(
                *_loading(there, inner, {}, (*above, schema))
            )


def _schema_in(annotation: Any) -> type[BaseModel] | None:
    """Return the schema inside of `Schema | None`, `list[Schema]` and their like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_schema_in(argument) for argument in get_args(annotation))
    return next((schema for schema in found if schema is not None), None)
