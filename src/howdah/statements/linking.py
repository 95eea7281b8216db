"""The statements for relations of many to many: which rows are related, and changes.

A change locks the row that it is made for, so two never meet, and gives it a new
version where anything has changed. To say that a row has these relations and no
others, it must be known which it has: where the row got a new version while the
statement waited, what it saw is old, so it changes nothing and says so.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ClauseElement,
    Column,
    ColumnElement,
    PrimaryKeyConstraint,
    Select,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    cast,
    column,
    delete,
    except_,
    func,
    literal_column,
    null,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert

from howdah.errors import Misconfigured
from howdah.statements.given import POSITION
from howdah.statements.layout import (
    ColumnOfRows,
    Layout,
    is_active,
    is_key,
    is_match,
    is_readable,
    tag,
)
from howdah.statements.scope import Within

__all__ = (
    "IDS",
    "Change",
    "Link",
    "is_visible",
    "reachable",
    "relate",
    "related",
)

IDS = "__ids"
"""The name of the parameter for what related rows are known by."""
Change = Literal["set", "add", "remove"]
_ONE: ColumnElement[int] = literal_column("1")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Link:
    """A table that relates rows to others: which of its columns hold which keys."""

    table: Table
    owners: tuple[tuple[Column[Any], Column[Any]], ...]
    """A row's columns, and those that hold their values here."""
    other: Column[Any]
    """What the related rows are known by."""
    through: Column[Any]
    """The column that holds it here."""
    soft_delete: Column[Any] | None = None
    """What marks a related row as deleted: then it is not there to be related to."""

    @classmethod
    def of(cls, relation: Any) -> "Link":
        """Read a relation of a mapped class, or raise Misconfigured."""
        name, table = relation.key, relation.secondary
        if not isinstance(table, Table) or relation.viewonly:
            raise Misconfigured(
                f"relation {name!r} is none of many to many that can be written; it "
                "needs a secondary table (link_model), and no viewonly"
            )
        others = relation.secondary_synchronize_pairs
        owners = tuple(relation.synchronize_pairs)
        held = {inner for _, inner in (*owners, *others)}
        if len(others) != 1 or not _is_unique(table, held):
            raise Misconfigured(
                f"relation {name!r}: table {table.name!r} needs a primary key of just "
                "the columns that refer to the related rows, one to the others' key"
            )
        ((other, through),) = others
        return cls(table=table, owners=owners, other=other, through=through)


def _is_unique(table: Table, columns: set[Column[Any]]) -> bool:
    return any(
        set(constraint.columns) == columns
        for constraint in table.constraints
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint)
    )


def related(layout: Layout, link: Link, *, name: str) -> ClauseElement:
    """Return the JSON list of what a row's related rows are known by, in its order."""
    held = link.through
    ids = func.string_agg(cast(func.to_json(held), Text), literal_column("','"))
    start, end = (literal_column(f"'{mark}'", Text) for mark in "[]")
    listed = select(func.concat(start, ids.aggregate_order_by(held), end))
    mine = and_(*(inner == outer for outer, inner in link.owners))
    visible = is_visible(layout, link, name)
    listed = listed.select_from(link.table).where(mine, *visible)
    listed = listed.correlate(layout.table)
    return (
        select(listed.scalar_subquery())
        .select_from(layout.table)
        .where(is_key(layout), *is_readable(layout))
    )


def relate(
    layout: Layout,
    link: Link,
    change: Change,
    *,
    name: str,
    matched: bool = False,
) -> ClauseElement:
    """Set, add or remove what is related to a row by its key, from the array `IDS`.

    Four values: the row's tag, or NULL where there is none that matches; the positions
    of what is not there to be related to; whether a set saw the newest version; and
    whether there is such a row in any version.
    """
    given = _given(link)
    known = (is_key(layout), *is_readable(layout))
    owner = _locked(layout, link, known, matched=matched)
    unknown = null() if change == "remove" else _unknown(layout, link, given, name)
    seen = select(tag()).select_from(layout.table).where(*known).scalar_subquery()
    fresh = seen == owner.c["__tag"] if change == "set" else true()
    ready = (fresh, cast(unknown, ARRAY(BigInteger)).is_(None))
    changes: list[ReturningDelete[int] | ReturningInsert[int]] = []
    if change != "add":
        # What a caller cannot see stays: who sets what they see knows of nothing else.
        visible = is_visible(layout, link, name)
        removed = _removed(link, owner, given, ready, keep=change == "set")
        changes.append(removed.where(*visible))
    if change != "remove":
        changes.append(_added(link, owner, given, ready))
    written = [each.cte(f"__changed_{n}") for n, each in enumerate(changes)]
    touched = _touched(layout, known, written)
    there = select(_ONE).select_from(layout.table).where(*known).exists()
    return select(
        func.coalesce(_only(touched), _only(owner)),
        cast(unknown, ARRAY(BigInteger)),
        func.coalesce(select(fresh).select_from(owner).scalar_subquery(), true()),
        there,
    )


def _only(rows: CTE) -> ColumnElement[Any]:
    return select(rows.c["__tag"]).scalar_subquery()


def _given(link: Link) -> CTE:
    ids = bindparam(IDS, type_=ColumnOfRows(link.other.type))
    rows = (
        func.unnest(ids)
        .table_valued(
            column("__id", link.other.type), with_ordinality=POSITION, name="__array"
        )
        .render_derived()
    )
    return select(*rows.c).cte("__given")


def _locked(layout: Layout, link: Link, known: Any, *, matched: bool) -> CTE:
    """Return the row, kept from others until the change is made."""
    columns = [outer.label(f"__owner_{n}") for n, (outer, _) in enumerate(link.owners)]
    return (
        select(*columns, tag().label("__tag"))
        .select_from(layout.table)
        .where(*known, *((is_match(),) if matched else ()))
        .with_for_update(of=layout.table, key_share=True)
        .cte("__owner")
    )


def _unknown(layout: Layout, link: Link, given: CTE, name: str) -> ColumnElement[Any]:
    rows = reachable(layout, link, name).subquery("__there")
    there = select(given.c[POSITION]).join_from(
        given, rows, rows.c["__id"] == given.c["__id"]
    )
    lost = except_(select(given.c[POSITION]), there).subquery("__lost")
    return select(func.array_agg(lost.c[POSITION])).scalar_subquery()


def reachable(layout: Layout, link: Link, name: str) -> Select[Any]:
    """Return what the rows are known by that may be seen of those related."""
    there = select(link.other.label("__id")).where(*_limits(layout, link, name))
    # Nothing of the owner stands in it, which may be a row of the same table.
    return there.correlate(None)


def _limits(layout: Layout, link: Link, name: str) -> list[ColumnElement[bool]]:
    scope, mark = layout.related.get(name), link.soft_delete
    return [
        *(() if scope is None else (Within(scope.condition),)),
        *(() if mark is None else (is_active(mark),)),
    ]


def is_visible(layout: Layout, link: Link, name: str) -> list[ColumnElement[bool]]:
    """Return the condition of relations to what may be seen; none where all may be."""
    if not _limits(layout, link, name):
        return []
    return [link.through.in_(reachable(layout, link, name))]


def _removed(
    link: Link, owner: CTE, given: CTE, ready: Any, *, keep: bool
) -> ReturningDelete[int]:
    """Return the end of relations, to what is given or to all that is not."""
    ids = select(given.c["__id"])
    through = link.through
    ended = through.not_in(ids) if keep else through.in_(ids)
    mine = (
        inner == owner.c[f"__owner_{n}"] for n, (_, inner) in enumerate(link.owners)
    )
    return delete(link.table).where(*mine, ended, *ready).returning(_ONE.label("__one"))


def _added(link: Link, owner: CTE, given: CTE, ready: Any) -> ReturningInsert[int]:
    rows = select(
        *(owner.c[f"__owner_{n}"] for n, _ in enumerate(link.owners)), given.c["__id"]
    )
    rows = rows.join_from(owner, given, true()).where(*ready)
    columns = [*(inner for _, inner in link.owners), link.through]
    write = insert(link.table).from_select(columns, rows)
    return write.on_conflict_do_nothing().returning(_ONE.label("__one"))


def _touched(layout: Layout, known: Any, written: list[CTE]) -> CTE:
    """Return the row with a new version, where its relations have changed."""
    key = layout.keys[0]
    anything = [select(_ONE).select_from(each).exists() for each in written]
    touch = update(layout.table).values({key: key})
    changed = anything[0] if len(anything) == 1 else anything[0] | anything[1]
    touch = touch.where(*known, changed)
    return touch.returning(tag().label("__tag"), *layout.held).cte("__touched")
