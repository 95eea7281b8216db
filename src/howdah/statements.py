"""What is asked, as SQLAlchemy Core statements with named parameters. Pure.

Every statement is one round trip and returns the JSON that goes to the client. No
value stands in any of them: a statement depends on the shape of a request alone, so
it can be compiled once (`fast`) and filled in for ever.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import (
    ARRAY,
    CTE,
    BindParameter,
    Boolean,
    ClauseElement,
    Column,
    ColumnElement,
    Insert,
    Integer,
    Interval,
    Select,
    String,
    Subquery,
    Table,
    Text,
    Update,
    bindparam,
    case,
    cast,
    delete,
    false,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.types import Enum, TypeDecorator, TypeEngine

from howdah.errors import Misconfigured
from howdah.query import Query

__all__ = (
    "ColumnOfRows",
    "Layout",
    "count",
    "create",
    "create_many",
    "get",
    "hard_delete",
    "like_pattern",
    "list_rows",
    "soft_delete",
    "update_row",
    "value_name",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """What a resource shows of a table, and how its rows are known and deleted."""

    KEY: ClassVar[str] = "__key"
    """The name of the parameter that a row's key has; no column is called so."""

    table: Table
    columns: Mapping[str, Column[Any]]
    """The columns that are read, by the name that they have in JSON, in its order."""
    fields: Mapping[str, Column[Any]]
    """All columns, by the name of the model's attribute; values are given by it."""
    search: tuple[Column[Any], ...] = ()
    soft_delete: Column[Any] | None = None

    @property
    def key(self) -> Column[Any]:
        """The primary key, of one column."""
        columns = list(self.table.primary_key.columns)
        if len(columns) != 1:
            raise Misconfigured(
                f"table {self.table.name!r} has a primary key of {len(columns)} "
                "columns; a resource needs a key of one column"
            )
        return columns[0]


class ColumnOfRows(ARRAY[Any]):
    """The values of one column for many rows, as an array parameter."""

    def __init__(self, column_type: TypeEngine[Any]) -> None:
        super().__init__(_element_type(column_type))
        self.column_type = column_type
        """What turns a single value into what the driver takes."""


def get(layout: Layout) -> ClauseElement:
    """Return the statement for one row by `Layout.KEY`."""
    row = _rows(layout).where(_is_key(layout), *_readable(layout))
    return select(_json(row.subquery(_ROW)))


def list_rows(layout: Layout, query: Query) -> ClauseElement:
    """List a page of rows by `:limit`, `:skip` and `:search`."""
    page = (
        _rows(layout)
        .where(*_conditions(layout, query))
        .order_by(layout.key)
        .limit(_parameter("limit"))
        .offset(_parameter("skip"))
    )
    return select(_json_list(page.subquery(_ROW)))


def count(layout: Layout, query: Query) -> ClauseElement:
    """Count rows by `:search`."""
    return (
        select(func.count())
        .select_from(layout.table)
        .where(*_conditions(layout, query))
    )


def create(layout: Layout, names: Iterable[str]) -> ClauseElement:
    """Insert a row from the `value_name` of each column; its key and its JSON."""
    values = {layout.fields[name]: _value(layout, name) for name in names}
    written = _returning(layout, insert(layout.table).values(values))
    return select(_key_of(layout, written), _json(written))


def create_many(layout: Layout, names: Sequence[str]) -> ClauseElement:
    """Insert rows from one array a column; a JSON list in the order given."""
    columns = [layout.fields[name] for name in names]
    _refuse_arrays(columns)
    arrays = [
        bindparam(value_name(name), type_=ColumnOfRows(column.type))
        for name, column in zip(names, columns, strict=True)
    ]
    given = (
        func.unnest(*arrays)
        .table_valued(*names, with_ordinality=_POSITION, name=_GIVEN)
        .render_derived()
    )
    rows = select(*(given.c[name] for name in names)).order_by(given.c[_POSITION])
    written = _returning(layout, insert(layout.table).from_select(columns, rows))
    return select(_json_list(written))


def _refuse_arrays(columns: Iterable[Column[Any]]) -> None:
    for column in columns:
        if isinstance(column.type, ARRAY):
            raise Misconfigured(
                f"column {column.name!r} of {column.table.name!r} holds arrays, which "
                "a batch cannot carry; create such rows one by one"
            )


def update_row(layout: Layout, names: Iterable[str]) -> ClauseElement:
    """Change a row by `Layout.KEY` from the `value_name` of each column; its JSON."""
    values = {layout.fields[name]: _value(layout, name) for name in names}
    change = update(layout.table).where(_is_key(layout), *_readable(layout))
    written = _returning(layout, change.values(values))
    return select(_json(written))


def soft_delete(layout: Layout) -> ClauseElement:
    """Mark a row as deleted by `Layout.KEY`; the key where there was one."""
    column = layout.soft_delete
    if column is None:
        raise Misconfigured(f"table {layout.table.name!r} has no soft delete")
    gone = false() if isinstance(column.type, Boolean) else func.now()
    return (
        update(layout.table)
        .where(_is_key(layout), *_readable(layout))
        .values({column: gone})
        .returning(layout.key)
    )


def hard_delete(layout: Layout) -> ClauseElement:
    """Remove a row by `Layout.KEY`; the key where there was one."""
    return delete(layout.table).where(_is_key(layout)).returning(layout.key)


def value_name(field: str) -> str:
    """Return the name of the parameter that a field's new value has."""
    # `limit` and `search` are parameters too, and may be fields.
    return f"v_{field}"


def like_pattern(text: str) -> str:
    r"""Return the LIKE pattern for rows that hold the text; `%`, `_`, `\` are plain."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"


# No column has such a name; one named like a table would stand for it in `f(table)`.
_GIVEN, _POSITION, _ROW, _WRITTEN = "__given", "__position", "__row", "__written"


def _rows(layout: Layout) -> Select[Any]:
    return select(*_shown(layout))


def _shown(layout: Layout) -> Iterable[ColumnElement[Any]]:
    for name, column in layout.columns.items():
        yield _in_json(column).label(name)


def _in_json(column: Column[Any]) -> ColumnElement[Any]:
    """Return a column as schemas show it: the value of an enum, not its label."""
    enum = column.type.enum_class if isinstance(column.type, Enum) else None
    if enum is None:
        return column
    values = {label: member.value for label, member in enum.__members__.items()}
    plain = all(isinstance(value, str) for value in values.values())
    if not plain or not values.keys() >= set(column.type.enums):  # type: ignore[attr-defined] # an Enum
        return column
    pairs = {_quoted(label): _quoted(value) for label, value in values.items()}
    return case(pairs, value=cast(column, Text)) if values else column


def _quoted(value: str) -> ColumnElement[str]:
    # Part of the text, so that a plan has no parameters but those of the request.
    return literal_column("'{}'".format(value.replace("'", "''")), Text)


def _json(rows: CTE | Subquery) -> ColumnElement[str]:
    return cast(func.row_to_json(rows.table_valued()), Text)


def _json_list(rows: CTE | Subquery) -> ColumnElement[str]:
    # Cheaper than json_agg, and without the blanks that it writes between rows.
    joined = func.string_agg(_json(rows), literal_column("','"))
    return func.concat(literal_column("'['"), joined, literal_column("']'"))


def _returning(layout: Layout, write: Insert | Update) -> CTE:
    return write.returning(*_shown(layout)).cte(_WRITTEN)


def _key_of(layout: Layout, written: CTE) -> ColumnElement[Any]:
    """Return the new row's key, NULL where the resource does not show it."""
    for name, column in layout.columns.items():
        if column is layout.key:
            return written.c[name]
    return null()


def _is_key(layout: Layout) -> ColumnElement[bool]:
    return layout.key == bindparam(Layout.KEY, type_=layout.key.type)


def _conditions(layout: Layout, query: Query) -> list[ColumnElement[bool]]:
    conditions = list(_active(layout)) if query.active_only else []
    if query.search is not None:
        pattern = bindparam("search", type_=Text)
        conditions.append(or_(*(column.ilike(pattern) for column in layout.search)))
    return conditions


def _active(layout: Layout) -> Iterable[ColumnElement[bool]]:
    column = layout.soft_delete
    if column is None:
        return
    yield column if isinstance(column.type, Boolean) else column.is_(None)


def _readable(layout: Layout) -> Iterable[ColumnElement[bool]]:
    """Yield what keeps a deleted row from being found by its key.

    An inactive row stays readable, to be seen and made active again; one with a
    moment of deletion is gone.
    """
    column = layout.soft_delete
    if column is not None and not isinstance(column.type, Boolean):
        yield column.is_(None)


def _value(layout: Layout, name: str) -> BindParameter[Any]:
    return bindparam(value_name(name), type_=layout.fields[name].type)


def _parameter(name: str) -> BindParameter[int]:
    return bindparam(name, type_=Integer)


def _element_type(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type that a column has inside an array parameter."""
    plain = type_
    if isinstance(type_, TypeDecorator) and not isinstance(type_, Interval):
        plain = type_.impl_instance
    if isinstance(plain, String) and not isinstance(plain, Enum):
        # The array is cast explicitly, and an explicit cast to VARCHAR(n) cuts the
        # text off in silence; as TEXT it meets the column's own length, and fails.
        return Text()
    return plain
