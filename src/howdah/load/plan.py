"""What becomes of each column of a file: a field of the schema, a column of the table.

Made once from the head of the file, so that a wrong column, a missing one or a default
that COPY cannot apply is said before anything else is read. Knows no connection.

A *name* stands in the file, a *field* is the schema's attribute, and its *key* is what
the schema wants it to be called on the way in (its alias, if it has one).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

import sqlalchemy
from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from sqlalchemy import Column, Table

from howdah.errors import Invalid, Misconfigured
from howdah.load.convert import Parse, parser_of
from howdah.load.defaults import Default, default_of
from howdah.load.relations import Relation, relations_of
from howdah.load.terms import Target

__all__ = ("Plan", "Slot", "make_plan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A field of the schema and the column that takes its value."""

    field: str
    column: Column[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the records of one file become rows of one table."""

    table: Table
    schema: type[BaseModel]
    keys: Mapping[str, str]
    """The key of each name that a record may have."""
    names: Mapping[str, str]
    """The name in the file of each key and field, for what people are told."""
    relations: Mapping[str, Relation]
    slots: tuple[Slot, ...]
    defaults: tuple[Default, ...]
    parsers: Mapping[str, Parse]
    """What reads the value of a key before the schema sees it."""
    nulls: tuple[str, ...]
    """The keys that are None, not missing, where a field of CSV is empty."""

    @property
    def columns(self) -> list[str]:
        """The columns that are copied, in the order of a row's values."""
        copied = [slot.column.name for slot in self.slots]
        return copied + [default.column.name for default in self.defaults]

    def name_of(self, column: str) -> str:
        """Return what the file calls a column of the table."""
        for slot in self.slots:
            if slot.column.name == column:
                return self.names.get(slot.field, column)
        return column


def make_plan(target: Target, names: Sequence[str], *, sparse: bool) -> Plan:
    """Decide what becomes of each of the names; raise Invalid where one has no place.

    With `sparse` (NDJSON) a later record may have other keys than the first one.
    """
    table, columns = _mapped(target)
    fields = _fields(target.schema)
    relations = _relations(target, fields, columns)
    _check_known(names, fields, relations, table)
    given = _given(names, fields, relations)
    _check_columns(given, columns, target.schema, table)
    if not sparse:
        _check_required(given, target.schema)
    slots = _slots(target.schema, columns, given)
    kept = {slot.field for slot in slots}
    accepted = {name: field for name, field in fields.items() if field in kept}
    return Plan(
        table=table,
        schema=target.schema,
        keys={name: _key(target.schema, field) for name, field in accepted.items()},
        names=_shown(given, target.schema),
        relations=relations,
        slots=slots,
        defaults=_defaults(target.model, table, {slot.column.name for slot in slots}),
        parsers=_parsers(target.schema, slots, sparse=sparse),
        nulls=() if sparse else _nulls(target.schema),
    )


def _mapped(target: Target) -> tuple[Table, dict[str, Column[Any]]]:
    """Return the table of the model, and its columns by attribute."""
    mapper = sqlalchemy.inspect(target.model)
    table = mapper.local_table
    if not isinstance(table, Table) or mapper.inherits is not None:
        raise Misconfigured(
            f"{target.model.__name__} is not mapped to one table of its own; "
            "load into a model that is"
        )
    if hasattr(target.schema, "__table__"):
        raise Misconfigured(
            f"{target.schema.__name__} is a table, and tables validate nothing; "
            "give the resource a create_schema"
        )
    return table, {
        attribute.key: attribute.columns[0]
        for attribute in mapper.column_attrs
        if isinstance(attribute.columns[0], Column)
    }


def _fields(schema: type[BaseModel]) -> dict[str, str]:
    """Return the field that each name may mean: its own name, or its alias."""
    fields = {name: name for name in schema.model_fields}
    return fields | {_key(schema, name): name for name in schema.model_fields}


def _key(schema: type[BaseModel], field: str) -> str:
    info = schema.model_fields[field]
    alias = info.validation_alias
    if isinstance(alias, AliasChoices):
        alias = next((each for each in alias.choices if isinstance(each, str)), None)
    return alias if isinstance(alias, str) else field


def _relations(
    target: Target, fields: Mapping[str, str], columns: Mapping[str, Column[Any]]
) -> dict[str, Relation]:
    """Return the relations that the schema has a key for, by the names they go by."""
    field_of = {columns[each].name: each for each in fields.values() if each in columns}
    return {
        relation.name: relation
        for relation in relations_of(target.model, field_of)
        if relation.name not in fields
    }


def _check_known(
    names: Sequence[str],
    fields: Mapping[str, str],
    relations: Mapping[str, Relation],
    table: Table,
) -> None:
    known = [*fields, *relations]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known) or sorted(known)
            raise Invalid(
                f"{table.name} takes no column {name!r}; it knows {', '.join(near)}"
            )


def _given(
    names: Sequence[str], fields: Mapping[str, str], relations: Mapping[str, Relation]
) -> dict[str, str]:
    """Return the fields that the file has a value for, each with its name there."""
    given: dict[str, str] = {}
    for name in names:
        field = fields[name] if name in fields else relations[name].field
        if field in given:
            raise Invalid(
                f"the columns {given[field]!r} and {name!r} both give {field}; "
                "leave one of them out"
            )
        given[field] = name
    return given


def _check_columns(
    given: Mapping[str, str],
    columns: Mapping[str, Column[Any]],
    schema: type[BaseModel],
    table: Table,
) -> None:
    for field, name in given.items():
        if field not in columns:
            raise Invalid(
                f"{schema.__name__} has {name!r}, but {table.name} has no such "
                "column; COPY writes columns only, so leave it out of the file"
            )


def _check_required(given: Mapping[str, str], schema: type[BaseModel]) -> None:
    missing = [
        _key(schema, field)
        for field, info in schema.model_fields.items()
        if info.is_required() and field not in given
    ]
    if missing:
        raise Invalid(
            f"the file has no column {missing[0]!r}, which {schema.__name__} requires; "
            "add it to the file"
        )


def _slots(
    schema: type[BaseModel],
    columns: Mapping[str, Column[Any]],
    given: Mapping[str, str],
) -> tuple[Slot, ...]:
    return tuple(
        Slot(field=field, column=columns[field])
        for field, info in schema.model_fields.items()
        if field in columns
        and (field in given or not _left_to_table(info, columns[field]))
    )


def _left_to_table(info: FieldInfo, column: Column[Any]) -> bool:
    """Say whether a field that nobody gives is one that the table fills: an id."""
    return not info.is_required() and info.default is None and not column.nullable


def _shown(given: Mapping[str, str], schema: type[BaseModel]) -> dict[str, str]:
    return dict(given) | {_key(schema, field): name for field, name in given.items()}


def _defaults(model: type[Any], table: Table, taken: set[str]) -> tuple[Default, ...]:
    found = (
        default_of(model, column)
        for column in table.columns
        if column.name not in taken
    )
    return tuple(default for default in found if default is not None)


def _parsers(
    schema: type[BaseModel], slots: Sequence[Slot], *, sparse: bool
) -> dict[str, Parse]:
    found = {
        _key(schema, slot.field): parser_of(slot.column, text=not sparse)
        for slot in slots
    }
    return {key: parse for key, parse in found.items() if parse is not None}


def _nulls(schema: type[BaseModel]) -> tuple[str, ...]:
    return tuple(
        _key(schema, field)
        for field, info in schema.model_fields.items()
        if info.is_required() and type(None) in get_args(info.annotation)
    )
