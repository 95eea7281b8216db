"""Related rows as JSON, as a value that stands in the row they belong to.

Each relation is one scalar subquery, so a page with all of its related rows is one
statement. What one subquery finds is the business of the related rows' own layout.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    Table,
    cast,
    exists,
    func,
    literal_column,
    select,
)
from sqlalchemy.orm import RelationshipDirection, RelationshipProperty, aliased
from sqlalchemy.sql.visitors import iterate

from howdah.query import Query
from howdah.statements.forms import in_json
from howdah.statements.layout import Embed, Layout, active, is_readable
from howdah.statements.order import order
from howdah.statements.shown import ROW, exact_names, json_list

__all__ = ("embedded", "joining")


def embedded(
    embeds: Mapping[str, Embed], names: Iterable[str], parent: FromClause
) -> Iterable[ColumnElement[Any]]:
    """Yield the related rows of each row of a parent: an object, or a list of them.

    The parent is the table, or a subquery that has the columns that are `joining`.
    """
    for name in names:
        rows = _rows(embeds[name], parent).subquery(ROW)
        # A JSON of its own type is not quoted as a text where it stands in another.
        one = func.row_to_json(rows.table_valued())
        found = cast(json_list(rows), JSON) if embeds[name].many else one
        yield select(found).scalar_subquery().label(name)


def joining(table: Table, embeds: Iterable[Embed]) -> set[Column[Any]]:
    """Return the columns of a table by which related rows are found."""
    columns: set[Column[Any]] = set(table.columns)
    return {
        column
        for embed in embeds
        for clause in _clauses(embed)
        for column in iterate(clause)
        if isinstance(column, Column) and column in columns
    }


def _shown(there: Layout, source: Any) -> Iterable[ColumnElement[Any]]:
    exact = exact_names(there)
    for name, column in there.columns.items():
        yield in_json(source.c[column.key], exact=name in exact).label(name)


def _rows(embed: Embed, parent: FromClause) -> Select[Any]:
    """Return the related rows of one row, as they are shown, in their order."""
    there = embed.layout
    source = _source(embed)
    rows = (
        select(*_shown(there, source))
        .where(_is_related(embed, parent, source))
        .limit(literal_column(str(embed.limit if embed.many else 1)))
        .correlate(parent)
    )
    if _property(embed).direction is RelationshipDirection.MANYTOONE:
        # There is one at most, and nothing to order.
        return rows
    parts = order(there, Query(sort=embed.sort))
    columns: Any = source.c
    placed = (replace(part, column=columns[part.column.key]) for part in parts)
    return rows.order_by(*(part.clause(backward=False) for part in placed))


def _source(embed: Embed) -> Subquery:
    """Return the rows that may be embedded: those that a list or a get would show.

    PostgreSQL takes such a subquery for the table itself, indexes and all.
    """
    there = embed.layout
    parts = order(there, Query(sort=embed.sort))
    needed = {*there.columns.values(), *(part.column for part in parts)}
    needed |= joining(there.table, [embed])
    visible = active(there) if embed.many else is_readable(there)
    columns = (column for column in there.table.columns if column in needed)
    # Nothing of the parent stands in it, which may be a row of the same table.
    return (
        select(*columns)
        .where(*there.within, *visible)
        .correlate(None)
        .subquery(_RELATED)
    )


_RELATED = "__related"


def _is_related(
    embed: Embed, parent: FromClause, source: Subquery
) -> ColumnElement[bool]:
    """Return the condition that SQLAlchemy itself has for rows of the relation."""
    relation: Any = embed.relation
    if not isinstance(parent, Table):
        relation = getattr(
            aliased(relation.property.parent.class_, parent), relation.key
        )
    related = relation.of_type(aliased(relation.property.mapper.class_, source))
    there = related.any() if relation.property.uselist else related.has()
    inner = there.element.element
    condition: ColumnElement[bool] = inner.whereclause
    if relation.property.secondary is None:
        return condition
    # A row that is linked twice is one related row still.
    linked = exists().select_from(*inner.get_final_froms()).where(condition)
    return linked.correlate(parent, source)


def _clauses(embed: Embed) -> Iterable[ColumnElement[bool]]:
    joins = (_property(embed).primaryjoin, _property(embed).secondaryjoin)
    return (join for join in joins if join is not None)


def _property(embed: Embed) -> RelationshipProperty[Any]:
    relation: RelationshipProperty[Any] = embed.relation.property
    return relation
