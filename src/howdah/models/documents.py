"""A document's fields as the columns of a table that no SQL database has.

Resources, schemas, filters and scopes speak of columns, so they serve documents as they
serve tables. A link `owner: Link[User]` is the column `owner_id` and the relation
`owner`. Beanie is not imported here: who has a document has imported it.
"""

import datetime as dt
import enum
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    Optional,
    Union,
    get_args,
    get_origin,
)
from uuid import UUID

from pydantic import EmailStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Enum,
    Index,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.types import TypeEngine

from howdah.errors import Misconfigured
from howdah.models.described import Described
from howdah.models.finding import condition_of
from howdah.models.metadata import idempotency_table
from howdah.models.values import SECRET

__all__ = ("Description", "OnUpdate", "describe", "document_rules", "is_document")


@dataclass(frozen=True)
class OnUpdate:
    """Gives a field its value whenever its document changes.

    `updated_at: Annotated[datetime | None, OnUpdate(now)] = None`.
    """

    value: Callable[[], Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Description:
    """A document as a table: its columns, what relates it to others, what is said."""

    table: Table
    columns: Mapping[str, Column[Any]]
    relations: Mapping[str, "Attribute"]
    infos: Mapping[str, FieldInfo]


@dataclass(frozen=True, kw_only=True, eq=False)
class Attribute:
    """What a relation is known by, as the attribute of a mapped class tells it."""

    key: str
    property: "Relation"


@dataclass(frozen=True, kw_only=True, eq=False)
class Relation:
    """What leads from a document to others, as SQLAlchemy tells it of tables."""

    key: str
    owner: type[Any]
    find: Callable[[], type[Any]]
    uselist: bool
    back: str | None = None
    """The field of the others that leads here; without one the link is our own."""

    secondary = None

    @property
    def mapper(self) -> "Relation":
        """What is known of the other side; see `class_` and `local_table`."""
        return self

    @property
    def target(self) -> type[Any]:
        """The document that it leads to."""
        return self.find()

    class_ = target

    @property
    def local_table(self) -> Table:
        """The table of the documents that it leads to."""
        return describe(self.target).table

    @property
    def local_remote_pairs(self) -> Sequence[tuple[Column[Any], Column[Any]]]:
        """The column here and the one there that hold the same."""
        here, there = describe(self.owner).columns, describe(self.target).columns
        if self.back is None:
            return [(here[_linking(self.key)], there["id"])]
        return [(here["id"], there[_linking(self.back)])]


def is_document(model: object) -> bool:
    """Say whether a class is one of Beanie's documents."""
    document = getattr(sys.modules.get("beanie"), "Document", None)
    return (
        document is not None and isinstance(model, type) and issubclass(model, document)
    )


def document_rules() -> Iterable[str]:
    """Return the names of the rules that Beanie itself has for each document."""
    from beanie import Document

    return tuple(Document.__pydantic_decorators__.model_validators)


def describe(model: Any) -> Description:
    """Return a document as a table, or raise Misconfigured for what is none."""
    return _described(model)


@cache
def _described(model: Any) -> Description:
    settings = getattr(model, "Settings", None)
    if getattr(settings, "is_root", False) or getattr(settings, "union_doc", None):
        raise Misconfigured(
            f"{model.__name__} shares its collection with other documents (is_root, "
            "union_doc), which a resource cannot tell apart; give it one of its own"
        )
    # While the names of its module are those that it means.
    model.model_rebuild(raise_errors=False)
    said = {n: _Said(model, n, it) for n, it in model.model_fields.items()}
    own = {n: it for n, it in said.items() if not it.info.exclude and not it.is_back}
    columns = {it.name: it.column() for it in own.values()}
    links = [it for it in said.values() if it.link is not None]
    table = Table(
        getattr(settings, "name", None) or model.__name__,
        MetaData(),
        *columns.values(),
        info={
            "revision": bool(getattr(settings, "use_revision", False)),
            "nulls": bool(getattr(settings, "keep_nulls", True)),
        },
    )
    idempotency_table(table.metadata)
    _add_indexes(model, own.values(), columns.values())
    return Description(
        table=table,
        columns=columns,
        relations={
            it.field: it.relation() for it in links if it.is_back or not it.is_list
        },
        infos={n: it.seen() for n, it in own.items() if it.link is None},
    )


def _linking(field: str) -> str:
    """Return the name of the column that holds the key of a linked document."""
    return f"{field}_id"


class _Said:
    """What a field of a document says of itself."""

    def __init__(self, model: type[Any], field: str, info: FieldInfo) -> None:
        self.model = model
        self.field = field
        self.info = info
        found, self.metadata = _members(info.annotation, info.metadata)
        self.nullable = NoneType in found and field != "id"
        self.kinds = tuple(each for each in found if each is not NoneType)
        self.kind: Any = self.kinds[0] if len(self.kinds) == 1 else None
        self.is_list = get_origin(self.kind) is list and _is_link(*get_args(self.kind))
        inner = get_args(self.kind)[0] if self.is_list else self.kind
        self.link = get_args(inner)[0] if _is_link(inner) else None
        self.is_back = self.link is not None and _is_link(inner, back=True)
        # Looked up at once, while the names of its module are those that it means.
        self._target = None if self.link is None else _document(model, self.link)

    @property
    def name(self) -> str:
        """The name of the column."""
        is_key = self.link is not None and not self.is_list
        return _linking(self.field) if is_key else self.field

    def column(self) -> Column[Any]:
        """Return the column of the field."""
        path = self.info.alias or self.field
        info: dict[str, Any] = {"path": path}
        if self.link is not None:
            info["linked"] = self.target
        if any(each is SECRET for each in self.metadata):
            info.update(SECRET)
        touched = [each.value for each in self.metadata if isinstance(each, OnUpdate)]
        is_key = self.field == "id"
        return Column(
            self.name,
            self._type(),
            primary_key=is_key,
            nullable=self.nullable,
            autoincrement=is_key and self.is_numbered,
            onupdate=touched[0] if touched else None,
            info=info,
            **self._default(),
        )

    def seen(self) -> FieldInfo:
        """Return what people see of it: not how MongoDB calls it, or finds it."""
        plain = copy(self.info)
        plain.alias = plain.validation_alias = plain.serialization_alias = None
        if self.kind is not None:
            kind: Any = Optional[self.kind] if self.nullable else self.kind  # noqa: UP045 - of a value
            plain.annotation = kind
            plain.metadata = [it for it in self.metadata if not _is_stores(it)]
        return plain

    @property
    def is_numbered(self) -> bool:
        """Whether it is a number that may be left out: for a key, one is found."""
        return self.kind is int and self.info.default is None

    def relation(self) -> Attribute:
        """Return the relation of a link."""
        extra = self.info.json_schema_extra
        back = extra.get("original_field") if isinstance(extra, dict) else None
        relation = Relation(
            key=self.field,
            owner=self.model,
            find=self.target,
            uselist=get_origin(self.kind) is list,
            back=str(back) if self.is_back else None,
        )
        return Attribute(key=self.field, property=relation)

    def target(self) -> type[Any]:
        """Return the document that a link leads to, or raise Misconfigured."""
        self._target = self._target or _document(self.model, self.link)
        if self._target is None:
            raise Misconfigured(
                f"{self.model.__name__}.{self.field} links to {self.link!r}, which is "
                f"no name in {self.model.__module__}"
            )
        return self._target

    def _default(self) -> dict[str, Any]:
        made: Any = self.info.default_factory
        if made is not None:
            # Whatever it is, a class or a function: called without anything.
            return {"default": lambda _context: made()}
        value = self.info.default
        if value is not PydanticUndefined and value is not None:
            return {"default": value}
        is_made = self.field == "id" and self.kind is not int
        return {"default": _object_id} if is_made and self._is_object_id() else {}

    def _is_object_id(self) -> bool:
        from bson import ObjectId

        return isinstance(self.kind, type) and issubclass(self.kind, ObjectId)

    def _type(self) -> TypeEngine[Any]:
        if self.link is not None:
            there = self.target()
            key = _Said(there, "id", there.model_fields["id"])
            several: Any = list
            return Described(several[key.kind]) if self.is_list else key._type()
        if self.kind is None:
            return Described(self.info.annotation)
        if self.kind is dt.time:
            raise Misconfigured(
                f"{self.model.__name__}.{self.field} is a time of day, which BSON does "
                "not have; let it be a timedelta since midnight, or a str"
            )
        return _type(self.kind, self.metadata)


def _members(annotation: Any, said: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Return the types that an annotation may be one of, and what is said beside."""
    if get_origin(annotation) is Annotated:
        inner, *beside = get_args(annotation)
        return _members(inner, [*said, *beside])
    if get_origin(annotation) not in {Union, UnionType}:
        return [annotation], _flat(said)
    members: list[Any] = []
    metadata = _flat(said)
    for each in get_args(annotation):
        found, beside = _members(each, ())
        members += found
        metadata += beside
    return members, metadata


def _flat(said: Iterable[Any]) -> list[Any]:
    """Return what is said, what stands inside of a Field included."""
    return [
        inner
        for each in said
        for inner in (each.metadata if isinstance(each, FieldInfo) else [each])
    ]


def _document(model: type[Any], link: Any) -> type[Any] | None:
    """Return the document that a link names, by its name where it has to be."""
    named = link.__forward_arg__ if isinstance(link, ForwardRef) else link
    if not isinstance(named, str):
        return named  # type: ignore[no-any-return] # of an annotation
    return getattr(sys.modules.get(model.__module__), named, None)


def _is_stores(said: Any) -> bool:
    """Say whether something speaks to stores and to nobody else."""
    return said is SECRET or isinstance(said, OnUpdate) or hasattr(said, "_indexed")


def _is_link(kind: Any, *, back: bool = False) -> bool:
    from beanie import BackLink, Link

    kinds = {BackLink} if back else {BackLink, Link}
    return get_origin(kind) in kinds


def _type(kind: Any, metadata: Sequence[Any]) -> TypeEngine[Any]:
    """Return the column type of a plain type with its limits."""
    if get_origin(kind) is Literal:
        is_text = all(isinstance(each, str) for each in get_args(kind))
        return Text() if is_text else Described(kind)
    if kind is EmailStr:
        return Text()
    if not isinstance(kind, type) or get_origin(kind) is not None:
        return Described(kind)
    if issubclass(kind, enum.Enum):
        return Enum(kind)
    for known, make in _TYPES.items():
        if issubclass(kind, known):
            return make(metadata)
    return Described(kind)


def _limit(metadata: Iterable[Any], name: str) -> Any:
    found = [getattr(each, name, None) for each in metadata]
    return next((each for each in found if each is not None), None)


def _whole(metadata: Sequence[Any]) -> TypeEngine[Any]:
    low, high = _limit(metadata, "ge"), _limit(metadata, "le")
    if low is None or high is None or low < -(2**31) or high >= 2**31:
        return BigInteger()
    return Integer()


def _exact(metadata: Sequence[Any]) -> TypeEngine[Any]:
    digits, places = (
        _limit(metadata, name) for name in ("max_digits", "decimal_places")
    )
    return Numeric() if digits is None else Numeric(digits, places or 0)


def _text(metadata: Sequence[Any]) -> TypeEngine[Any]:
    length = _limit(metadata, "max_length")
    return Text() if length is None else String(length)


_Make = Callable[[Sequence[Any]], TypeEngine[Any]]
# A moment is a day as well, and a boolean a number: those that say more come first.
_TYPES: Mapping[type[Any], _Make] = {
    bool: lambda _: Boolean(),
    int: _whole,
    float: lambda _: Double(),
    Decimal: _exact,
    str: _text,
    bytes: lambda _: LargeBinary(),
    UUID: lambda _: Uuid(),
    dt.datetime: lambda _: DateTime(timezone=True),
    dt.date: lambda _: Date(),
    dt.timedelta: lambda _: Interval(),
}


def _object_id() -> Any:
    from beanie import PydanticObjectId

    return PydanticObjectId()


def _add_indexes(
    model: type[Any], said: Iterable[_Said], columns: Iterable[Column[Any]]
) -> None:
    """Say what has to be unique, which is what upserts ask for."""
    by_path = {column.info["path"]: column for column in columns}
    for number, (names, options) in enumerate(_unique(model, said)):
        found = [by_path.get(name.removesuffix(".$id")) for name in names]
        parts = [column for column in found if column is not None]
        if len(parts) < len(names):
            continue
        partial = options.get("partialFilterExpression")
        # Of what no condition of columns says, no upsert can make use.
        with suppress(Misconfigured):
            where = None if partial is None else condition_of(partial, by_path)
            name = options.get("name") or f"{model.__name__}_unique_{number}"
            Index(name, *parts, unique=True, postgresql_where=where)


_Unique = tuple[list[str], Mapping[str, Any]]


def _unique(model: type[Any], said: Iterable[_Said]) -> Iterable[_Unique]:
    """Yield the unique indexes: their fields as MongoDB calls them, their options."""
    for each in said:
        kind_too = (*each.metadata, each.kind)
        for _, options in filter(
            None, (getattr(k, "_indexed", None) for k in kind_too)
        ):
            if options.get("unique"):
                yield [each.info.alias or each.field], options
    for index in getattr(getattr(model, "Settings", None), "indexes", ()):
        document = getattr(index, "document", {})
        if document.get("unique"):
            yield list(document["key"]), document
