"""A model as the schemas to create, update and read its rows.

From the columns, and from what a SQLModel says of its fields beside them: limits,
descriptions, examples, validators.
"""

from collections.abc import Container, Iterable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    Secret,
    SecretBytes,
    SecretStr,
    WrapSerializer,
    create_model,
    field_serializer,
    field_validator,
)
from pydantic.fields import FieldInfo
from sqlalchemy import Column

from howdah.errors import Misconfigured
from howdah.models import (
    field_info,
    is_secret,
    mapped_columns,
    python_type,
    row_rules,
)
from howdah.schemas.columns import read_type, write_type
from howdah.schemas.owned import has_default, is_server_owned, literal_default
from howdah.schemas.parts import holds

__all__ = (
    "absent",
    "create_fields",
    "create_schema",
    "holds_secret",
    "is_hidden",
    "read_schema",
    "update_fields",
    "update_schema",
)


@cache
def create_schema(
    model: type[Any], *, without: frozenset[str] = frozenset()
) -> type[BaseModel]:
    """Return the schema of new rows: no secrets, and nothing that the server fills.

    What may be left out is given by the column's default, or is NULL.
    """
    mapped: Any = model
    return _schema(model, "Create", create_fields(mapped, without=without))


@cache
def update_schema(
    model: type[Any], *, without: frozenset[str] = frozenset()
) -> type[BaseModel]:
    """Return the schema of changes: the new row's but its key, each field optional.

    A field that is left out stays; one that is null becomes NULL, or is refused
    where the column has to have a value.
    """
    mapped: Any = model
    return _schema(model, "Update", update_fields(mapped, without=without))


@cache
def create_fields(
    model: type[Any], *, without: frozenset[str] = frozenset()
) -> "_Fields":
    """Return the fields of new rows, or raise Misconfigured for what has no schema."""
    fields = _writable(model, without)
    _refuse_unfilled(model, {*dict(fields), *without})
    _refuse_rules(model)
    return {n: _created(model, n, c) for n, c in fields}


@cache
def update_fields(
    model: type[Any], *, without: frozenset[str] = frozenset()
) -> "_Fields":
    """Return the fields of changes, or raise Misconfigured for what has no schema."""
    fields = [(n, c) for n, c in _writable(model, without) if not c.primary_key]
    _refuse_rules(model)
    return {n: _updated(model, n, c) for n, c in fields}


@cache
def read_schema(model: type[Any]) -> type[BaseModel]:
    """Return the schema of rows as they are seen: all columns but secrets."""
    fields = {
        name: _shown(model, name, column)
        for name, column in _key_first(mapped_columns(model))
        if not is_hidden(model, name, column)
    }
    return _schema(model, "Read", fields)


def is_hidden(model: type[Any], name: str, column: Column[Any]) -> bool:
    """Say whether a field is secret, by its column or by its type in a SQLModel."""
    info = _said(model, name)
    typed = info is not None and holds_secret(info.annotation)
    return is_secret(column) or typed


def holds_secret(annotation: Any) -> bool:
    """Say whether values of a type hold what Pydantic hides."""
    return holds(annotation, Secret, SecretStr, SecretBytes)


_Fields = Mapping[str, tuple[Any, Any]]


def _schema(model: type[Any], use: str, fields: _Fields) -> type[BaseModel]:
    kept = _serializers if use == "Read" else _validators
    return create_model(
        f"{model.__name__}{use}",
        __config__=_OF_ROWS if use == "Read" else _STRICT,
        __module__=model.__module__,
        __validators__=kept(model, fields),
        **cast("dict[str, Any]", fields),
    )


_STRICT = ConfigDict(extra="forbid")
# A row is one as it stands, inside of somebody's own schema as well.
_OF_ROWS = ConfigDict(from_attributes=True)


def _key_first(
    columns: Mapping[str, Column[Any]],
) -> Iterable[tuple[str, Column[Any]]]:
    """Return the columns in the order of a document: the server's moments come last."""
    return sorted(
        columns.items(),
        key=lambda item: (not item[1].primary_key, is_server_owned(item[1])),
    )


def _writable(
    model: type[Any], without: frozenset[str]
) -> list[tuple[str, Column[Any]]]:
    return [
        (name, column)
        for name, column in _key_first(mapped_columns(model))
        if name not in without
        and not is_server_owned(column)
        and not is_hidden(model, name, column)
    ]


def _refuse_unfilled(model: type[Any], filled: Container[str]) -> None:
    for name, column in mapped_columns(model).items():
        given = column.nullable or has_default(column) or is_server_owned(column)
        if not given and name not in filled:
            raise Misconfigured(
                f"{model.__name__}.{name} is secret and every row needs one, so no "
                "schema of new rows can be derived; declare a create_schema that "
                "takes it, or give the column a default"
            )


def _created(model: type[Any], name: str, column: Column[Any]) -> tuple[Any, Any]:
    info = _said(model, name)
    kind = _write_kind(info, column)
    if info is not None and info.default_factory is not None:
        return kind, _field(info, default_factory=info.default_factory)
    default = literal_default(column)
    if default is not None:
        return kind, _field(info, default=default, validate_default=True)
    if has_default(column):
        return kind, _field(info, default_factory=absent)
    return kind, _field(info, default=None if column.nullable else ...)


def _updated(model: type[Any], name: str, column: Column[Any]) -> tuple[Any, Any]:
    info = _said(model, name)
    # Not a default of None: the document would promise that null is taken.
    return _write_kind(info, column), _field(info, default_factory=absent)


def absent() -> None:
    """Stand for a value that was not sent."""


def _shown(model: type[Any], name: str, column: Column[Any]) -> tuple[Any, Any]:
    info = _said(model, name)
    kind = read_type(column) if _is_plain(info, column) else _bare(info)
    serializers = [
        each
        for each in (info.metadata if info is not None else ())
        if isinstance(each, PlainSerializer | WrapSerializer)
    ]
    return _annotated(_nullable(kind, column), serializers), _field(info, default=...)


def _write_kind(info: FieldInfo | None, column: Column[Any]) -> Any:
    """Return the column's type and what the field says beside it; the field's wins."""
    if info is None:
        return write_type(column)
    kind = write_type(column) if _is_plain(info, column) else _bare(info)
    said = [each for each in info.metadata if not _is_of_table(each)]
    return _annotated(_nullable(kind, column), said)


def _is_of_table(metadata: object) -> bool:
    # SQLModel keeps primary_key, foreign_key and their like among the limits.
    return type(metadata).__module__.partition(".")[0] == "sqlmodel"


def _is_plain(info: FieldInfo | None, column: Column[Any]) -> bool:
    """Say whether the field's type says no more than the column's."""
    if info is None:
        return True
    kind = _bare(info)
    return kind is python_type(column.type) and kind not in {list, object}


def _bare(info: FieldInfo | None) -> Any:
    """Return the field's type without None."""
    members = () if info is None else _members(info.annotation)
    return Union[members] if members else None  # noqa: UP007 - of a tuple


def _members(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in {Union, UnionType}:
        return tuple(m for m in get_args(annotation) if m is not NoneType)
    return (annotation,)


def _nullable(kind: Any, column: Column[Any]) -> Any:
    return kind | None if column.nullable else kind


def _annotated(kind: Any, metadata: Iterable[Any]) -> Any:
    for each in metadata:
        kind = Annotated[kind, each]
    return kind


def _said(model: type[Any], name: str) -> FieldInfo | None:
    """Return what a model says of a field; a declarative model says nothing."""
    return field_info(model, name)


_KEPT = (
    "alias",
    "validation_alias",
    "serialization_alias",
    "title",
    "description",
    "examples",
    "deprecated",
    "json_schema_extra",
)


def _field(info: FieldInfo | None, **default: Any) -> Any:
    """Return the field of a schema with all that the model's says for people."""
    said = {name: getattr(info, name, None) for name in _KEPT}
    kept = {name: value for name, value in said.items() if value is not None}
    return Field(**default, **kept)


def _validators(model: type[Any], fields: Iterable[str]) -> dict[str, Any]:
    """Return the model's own rules of its fields, for a schema with these fields."""
    decorators = getattr(model, "__pydantic_decorators__", None)
    if decorators is None:
        return {}
    validator: Any = field_validator
    return {
        # Bound to the model already: nothing more is to be bound to it.
        name: validator(*named, mode=rule.info.mode)(staticmethod(rule.func))
        for name, rule in decorators.field_validators.items()
        if (named := _named(rule.info.fields, fields))
    }


def _serializers(model: type[Any], fields: Iterable[str]) -> dict[str, Any]:
    decorators = getattr(model, "__pydantic_decorators__", None)
    found = {} if decorators is None else decorators.field_serializers
    serializer: Any = field_serializer
    return {
        name: serializer(*named, mode=how.mode, when_used=how.when_used)(rule.func)
        for name, rule in found.items()
        if (named := _named((how := rule.info).fields, fields))
    }


def _named(wanted: Iterable[str], fields: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in wanted if name == "*" or name in fields)


def _refuse_rules(model: type[Any]) -> None:
    if rules := row_rules(model):
        raise Misconfigured(
            f"{model.__name__} has rules of the whole row ({', '.join(rules)}), which "
            "a derived schema cannot keep; declare create_schema and update_schema"
        )
