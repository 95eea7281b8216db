"""What a table needs so that searches need not read all of it.

A search for a part of a text is served by a trigram index, a search for words by a
column that PostgreSQL fills with a text's words, and its index. Both are said at the
model, so Alembic writes them into migrations and `create_all` makes them. Knows no
statement: `statements` searches, this is what it finds.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import CHAR, DDL, Column, Computed, Index, String, Table, Text, event
from sqlalchemy.dialects import postgresql, registry
from sqlalchemy.types import Enum, TypeDecorator, TypeEngine

from howdah.errors import Misconfigured
from howdah.models import mapped_columns

__all__ = (
    "TRIGRAMS",
    "FullText",
    "FullTextColumn",
    "full_text_column",
    "search_vector",
    "trigram_index",
)

M = TypeVar("M", bound=type[Any])

TRIGRAMS = "CREATE EXTENSION IF NOT EXISTS pg_trgm"
"""What a database needs once before it can have a trigram index."""


def trigram_index(name: str, *columns: str, **options: Any) -> Index:
    """Return an index that serves searches for a part of these texts.

    One index serves a search over several columns; it stands in `__table_args__`, or
    behind `table=`. Options are those of SQLAlchemy's Index.
    """
    if not columns:
        raise Misconfigured(f"index {name!r} has no column; name what is searched")
    index = Index(
        name,
        *columns,
        postgresql_using="gin",
        postgresql_ops=dict.fromkeys(columns, "gin_trgm_ops"),
        **options,
    )
    statement: Any = DDL
    extension = statement(TRIGRAMS).execute_if(dialect="postgresql")
    event.listen(index, "before_create", extension)
    return index


def search_vector(
    *fields: str, language: str, column: str = "search_vector", index: str | None = None
) -> Callable[[M], M]:
    """Give a model's table a column of the words of these text fields, and its index.

    PostgreSQL keeps the column; the model does not have it, so no SELECT of the ORM
    carries it. The first field counts most in the rank, then the second, the third;
    all others count alike. `language` is a text search configuration: "english",
    "german", "simple", ... Use it as a decorator of the class.
    """
    _refuse_odd_language(language)

    def added(model: M) -> M:
        table: Table = model.__table__
        words = _words(model, fields, language)
        vector: Column[Any] = Column(
            column, postgresql.TSVECTOR(), Computed(words, persisted=True)
        )
        vector.info.update({_FIELDS: fields, _LANGUAGE: language})
        table.append_column(vector)
        Index(index or f"ix_{table.name}_{column}", vector, postgresql_using="gin")
        return model

    return added


@dataclass(frozen=True, slots=True)
class FullText:
    """How a resource is searched by words: `search = FullText()`.

    The column is what `search_vector` has made. For one that you keep yourself, by a
    trigger perhaps, say which, and the language of its words.
    """

    column: str = "search_vector"
    language: str | None = None

    def __post_init__(self) -> None:
        if self.language is not None:
            _refuse_odd_language(self.language)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FullTextColumn:
    """A column of words, and the language that a search for them is read in."""

    column: Column[Any]
    language: str
    fields: tuple[str, ...] = ()
    """The fields of the model whose words it has, where `search_vector` made it."""


def full_text_column(table: Table, given: FullText) -> FullTextColumn:
    """Return what is searched in a table, or raise Misconfigured."""
    column = table.columns.get(given.column)
    if column is None:
        raise Misconfigured(
            f"table {table.name!r} has no column {given.column!r} to search by words; "
            'put @search_vector("name", ..., language="english") above its model'
        )
    if not isinstance(column.type, postgresql.TSVECTOR):
        raise Misconfigured(
            f"column {column.name!r} of {table.name!r} is no TSVECTOR but "
            f"{column.type!r}; name the column that search_vector(...) has made"
        )
    language = given.language or column.info.get(_LANGUAGE)
    if language is None:
        raise Misconfigured(
            f"nobody says which language column {column.name!r} of {table.name!r} is "
            f'in; write FullText("{column.name}", language="english")'
        )
    fields = column.info.get(_FIELDS, ())
    return FullTextColumn(column=column, language=language, fields=fields)


_FIELDS, _LANGUAGE = "howdah.fields", "howdah.language"
# The name of a text search configuration, perhaps with that of its schema.
_CONFIGURATION = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?\Z", re.ASCII)
# Weights that ts_rank_cd knows, from the most to the least.
_WEIGHTS = "ABCD"


def _refuse_odd_language(language: str) -> None:
    if not _CONFIGURATION.match(language):
        raise Misconfigured(
            f"{language!r} is no language of a text search; say one of PostgreSQL's, "
            'such as "english", "german" or "simple" (\\dF in psql lists them)'
        )


def _words(model: type[Any], fields: tuple[str, ...], language: str) -> str:
    """Return the expression of the words of these fields, weighted by their order."""
    if not fields:
        raise Misconfigured(f"{model.__name__}: search_vector names no field to search")
    columns = mapped_columns(model)
    quote = registry.load("postgresql")().identifier_preparer.quote
    parts = []
    for number, name in enumerate(fields):
        if name not in columns or not _is_text(columns[name]):
            raise Misconfigured(
                f"{model.__name__}: search_vector names {name!r}, which is no text of "
                f"it; it has {', '.join(n for n, c in columns.items() if _is_text(c))}"
            )
        text = _text(quote(columns[name].name), columns[name])
        words = f"to_tsvector('{language}'::regconfig, {text})"
        weight = _WEIGHTS[min(number, len(_WEIGHTS) - 1)]
        parts.append(f"setweight({words}, '{weight}'::\"char\")")
    return " || ".join(parts)


def _text(name: str, column: Column[Any]) -> str:
    """Return a column as a text that is not NULL, in PostgreSQL's own words.

    With the casts that PostgreSQL adds, Alembic finds the expression unchanged.
    """
    type_ = _plain_type(column)
    if isinstance(type_, Text):
        return f"coalesce({name}, ''::text)"
    kind = "bpchar" if isinstance(type_, CHAR) else "character varying"
    return f"coalesce({name}, ''::{kind})::text"


def _is_text(column: Column[Any]) -> bool:
    type_ = _plain_type(column)
    return isinstance(type_, String) and not isinstance(type_, Enum)


def _plain_type(column: Column[Any]) -> TypeEngine[Any]:
    type_ = column.type
    while isinstance(type_, TypeDecorator):
        type_ = type_.impl_instance
    return type_
