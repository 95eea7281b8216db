"""What is asked, as SQLAlchemy Core statements with named parameters. Pure.

Every statement is one round trip and returns the JSON that goes to the client. No
value stands in any of them: a statement depends on the shape of a request alone, so
it can be compiled once (`fast`) and filled in for ever.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
    Select,
    String,
    Subquery,
    Table,
    Text,
    Update,
    all_,
    and_,
    any_,
    bindparam,
    cast,
    delete,
    false,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.types import Enum, TypeDecorator, TypeEngine

from howdah.errors import Misconfigured
from howdah.paging import KeysetPage, OffsetPage, Page
from howdah.query import Filter, Query

__all__ = (
    "ColumnOfRows",
    "Layout",
    "Target",
    "count",
    "create",
    "create_many",
    "filter_name",
    "filter_values",
    "get",
    "hard_delete",
    "like_pattern",
    "list_rows",
    "order_columns",
    "position_name",
    "soft_delete",
    "update_row",
    "value_name",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """What a resource shows of a table, and how its rows are known and deleted."""

    table: Table
    columns: Mapping[str, Column[Any]]
    """The columns that are read, by the name that they have in JSON, in its order."""
    fields: Mapping[str, Column[Any]]
    """All columns, by the name of the model's attribute; values are given by it."""
    search: tuple[Column[Any], ...] = ()
    soft_delete: Column[Any] | None = None
    filters: Mapping[str, "Target"] = field(default_factory=dict)
    """What filters reach, by their names."""

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """A column that a filter compares, perhaps of rows that a relation leads to."""

    column: Column[Any]
    via: Any = None


_Condition = Callable[[Column[Any], object, str], Any]


class ColumnOfRows(ARRAY[Any]):
    """The values of one column for many rows, as an array parameter."""

    def __init__(self, column_type: TypeEngine[Any]) -> None:
        super().__init__(_element_type(column_type))
        self.column_type = column_type
        """What turns a single value into what the driver takes."""


def get(layout: Layout) -> ClauseElement:
    """Return the statement for one row by `:key`."""
    row = _rows(layout).where(_is_key(layout), *_readable(layout))
    return select(_json(row.subquery("r")))


def list_rows(layout: Layout, query: Query, page: Page) -> ClauseElement:
    """List a page; five values: JSON, first and last position, more, total.

    Parameters: `:limit`, `:search`, `filter_name` of each filter, `:skip` of an offset
    page, `position_name` of each value of a keyset page's position that is not NULL.
    """
    order = _order(layout, query)
    backward = isinstance(page, KeysetPage) and page.direction == "prev"
    rows = (
        _rows(layout)
        .where(*_conditions(layout, query))
        .order_by(*(part.clause(backward=backward) for part in order))
        # One row more tells whether there are more.
        .limit(_parameter("limit") + 1)
    )
    if isinstance(page, OffsetPage):
        rows = rows.offset(_parameter("skip"))
    elif page.position is not None:
        rows = rows.where(_behind(order, page.position, backward=backward))
    return _page(layout, rows.subquery("r"), query, order, backward=backward)


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
    arrays = [
        bindparam(value_name(name), type_=ColumnOfRows(column.type))
        for name, column in zip(names, columns, strict=True)
    ]
    given = (
        func.unnest(*arrays)
        .table_valued(*names, with_ordinality=_POSITION, name="given")
        .render_derived()
    )
    rows = select(*(given.c[name] for name in names)).order_by(given.c[_POSITION])
    written = _returning(layout, insert(layout.table).from_select(columns, rows))
    return select(_json_list(written))


def update_row(layout: Layout, names: Iterable[str]) -> ClauseElement:
    """Change a row by `:key` from the `value_name` of each column; its JSON."""
    values = {layout.fields[name]: _value(layout, name) for name in names}
    change = update(layout.table).where(_is_key(layout), *_readable(layout))
    written = _returning(layout, change.values(values))
    return select(_json(written))


def soft_delete(layout: Layout) -> ClauseElement:
    """Mark a row as deleted by `:key`; the key where there was one."""
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
    """Remove a row by `:key`; the key where there was one."""
    return delete(layout.table).where(_is_key(layout)).returning(layout.key)


def value_name(field: str) -> str:
    """Return the name of the parameter that a field's new value has."""
    # `key`, `limit` and `search` are parameters too, and may be fields.
    return f"v_{field}"


def like_pattern(text: str) -> str:
    r"""Return the LIKE pattern for rows that hold the text; `%`, `_`, `\` are plain."""
    return f"%{_escaped(text)}%"


def order_columns(layout: Layout, query: Query) -> list[Column[Any]]:
    """Return the columns whose values make a position: the sort's, then the key."""
    return [part.column for part in _order(layout, query)]


def filter_name(number: int) -> str:
    """Return the name of the parameter of a query's filter, counted from 0."""
    return f"f_{number}"


def position_name(number: int) -> str:
    """Return the name of the parameter of a page's position, counted from 0."""
    return f"p_{number}"


def _escaped(text: str) -> str:
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return text


_POSITION = "__position"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """One column of an order, and where its NULLs stand."""

    column: Column[Any]
    descending: bool = False
    nulls_first: bool = False

    def clause(self, *, backward: bool) -> ColumnElement[Any]:
        down = self.descending is not backward
        clause = self.column.desc() if down else self.column.asc()
        if not self.column.nullable:
            # Said for nothing, it would keep PostgreSQL from using an index.
            return clause
        first = self.nulls_first is not backward
        return clause.nulls_first() if first else clause.nulls_last()

    def at(self, number: int, value: object) -> ColumnElement[bool]:
        """Return the condition of rows that stand with the position in this column."""
        if value is None:
            return self.column.is_(None)
        return self.column == self.place(number)

    def behind(
        self, number: int, value: object, *, backward: bool
    ) -> ColumnElement[bool]:
        """Return the condition of rows that stand behind the position."""
        nulls_behind = self.column.nullable and self.nulls_first is backward
        if value is None:
            return false() if nulls_behind else self.column.is_not(None)
        down = self.descending is not backward
        place = self.place(number)
        beyond = self.column < place if down else self.column > place
        return or_(beyond, self.column.is_(None)) if nulls_behind else beyond

    def place(self, number: int) -> BindParameter[Any]:
        """Return the parameter of the position's value in this column."""
        return bindparam(position_name(number), type_=self.column.type)


def _order(layout: Layout, query: Query) -> list[_Part]:
    """Return the order that was asked for; the key always breaks ties."""
    parts = [
        _Part(
            column=layout.fields[part.field],
            descending=part.descending,
            nulls_first=part.nulls_first,
        )
        for part in query.sort
    ]
    if all(part.column is not layout.key for part in parts):
        parts.append(_Part(column=layout.key))
    return parts


def _behind(
    order: Sequence[_Part], position: Sequence[object], *, backward: bool
) -> ColumnElement[bool]:
    """Return the condition of rows behind a position, in the order or against it."""
    first = order[0]
    alike = {(part.descending, part.column.nullable) for part in order}
    if alike in ({(False, False)}, {(True, False)}) and len(order) > 1:
        # One comparison of rows, which one index serves.
        columns = tuple_(*(part.column for part in order))
        places = tuple_(*(part.place(n) for n, part in enumerate(order)))
        down = first.descending is not backward
        return columns < places if down else columns > places
    chain = []
    for number, part in enumerate(order):
        before = [p.at(n, position[n]) for n, p in enumerate(order[:number])]
        here = part.behind(number, position[number], backward=backward)
        chain.append(and_(*before, here))
    return or_(*chain)


def _condition(target: Target, filter_: Filter, name: str) -> ColumnElement[bool]:
    compare = _CONDITIONS[filter_.operator]
    compared: ColumnElement[bool] = compare(target.column, filter_.value, name)
    if target.via is None:
        return compared
    relation: Any = target.via
    reach: Callable[[Any], ColumnElement[bool]] = (
        relation.any if relation.property.uselist else relation.has
    )
    return reach(compared)


def _compared(compare: Callable[[Any, Any], Any]) -> _Condition:
    def condition(column: Column[Any], _value: object, name: str) -> Any:
        return compare(column, bindparam(name, type_=column.type))

    return condition


def _liked(*, case: bool) -> _Condition:
    def condition(column: Column[Any], _value: object, name: str) -> Any:
        pattern = bindparam(name, type_=Text)
        return column.like(pattern) if case else column.ilike(pattern)

    return condition


def _is_null(column: Column[Any], value: object, _name: str) -> Any:
    return column.is_(None) if value else column.is_not(None)


def _in(column: Column[Any], _value: object, name: str) -> Any:
    return column == any_(bindparam(name, type_=ColumnOfRows(column.type)))


def _not_in(column: Column[Any], _value: object, name: str) -> Any:
    return column != all_(bindparam(name, type_=ColumnOfRows(column.type)))


def _between(column: Column[Any], _value: object, name: str) -> Any:
    low, high = (bindparam(f"{name}_{end}", type_=column.type) for end in "ab")
    return column.between(low, high)


_CONDITIONS: Mapping[str, _Condition] = {
    "eq": _compared(operator.eq),
    "ne": _compared(operator.ne),
    "lt": _compared(operator.lt),
    "lte": _compared(operator.le),
    "gt": _compared(operator.gt),
    "gte": _compared(operator.ge),
    "in": _in,
    "not_in": _not_in,
    "isnull": _is_null,
    "between": _between,
    **dict.fromkeys(("contains", "startswith", "endswith"), _liked(case=True)),
    **dict.fromkeys(("icontains", "istartswith", "iendswith"), _liked(case=False)),
}


def filter_values(query: Query) -> dict[str, Any]:
    """Return the parameters of a query's filters, patterns made of plain text."""
    values: dict[str, Any] = {}
    for number, filter_ in enumerate(query.filters):
        name = filter_name(number)
        pattern = _PATTERNS.get(filter_.operator.removeprefix("i"))
        if filter_.operator == "between":
            values[f"{name}_a"], values[f"{name}_b"] = filter_.value
        elif filter_.operator == "isnull":
            continue
        elif pattern is not None and filter_.operator not in {"in", "isnull"}:
            values[name] = pattern.format(_escaped(filter_.value))
        else:
            values[name] = filter_.value
    return values


_PATTERNS = {"contains": "%{}%", "startswith": "{}%", "endswith": "%{}"}


def _rows(layout: Layout) -> Select[Any]:
    return select(*(column.label(name) for name, column in layout.columns.items()))


def _json(rows: CTE | Subquery) -> ColumnElement[str]:
    return cast(func.row_to_json(rows.table_valued()), Text)


def _page(
    layout: Layout,
    rows: Subquery,
    query: Query,
    order: Sequence[_Part],
    *,
    backward: bool,
) -> ClauseElement:
    shown = {column: name for name, column in layout.columns.items()}
    position = func.json_build_array(*(rows.c[shown[part.column]] for part in order))
    numbered = select(
        _json(rows).label("row"),
        cast(position, Text).label("position"),
        func.row_number().over().label("number"),
        func.count().over().label("found"),
    ).subquery("p")
    page = numbered.c
    limit = _parameter("limit")
    near = func.max(page.position).filter(page.number == 1)
    far = func.max(page.position).filter(page.number == func.least(page.found, limit))
    sequence = page.number.desc() if backward else page.number
    joined = (
        func.string_agg(page.row, literal_column("','"))
        .aggregate_order_by(sequence)
        .filter(page.number <= limit)
    )
    return select(
        func.concat(literal_column("'['"), joined, literal_column("']'")),
        far if backward else near,
        near if backward else far,
        func.coalesce(func.max(page.found) > limit, false()),
        _total(layout, query),
    )


def _total(layout: Layout, query: Query) -> ColumnElement[Any]:
    if query.count is None:
        return null()
    counted = select(func.count()).select_from(layout.table)
    return counted.where(*_conditions(layout, query)).scalar_subquery()


def _json_list(rows: CTE | Subquery) -> ColumnElement[str]:
    # Cheaper than json_agg, and without the blanks that it writes between rows.
    joined = func.string_agg(_json(rows), literal_column("','"))
    return func.concat(literal_column("'['"), joined, literal_column("']'"))


def _returning(layout: Layout, write: Insert | Update) -> CTE:
    columns = [column.label(name) for name, column in layout.columns.items()]
    return write.returning(*columns).cte("w")


def _key_of(layout: Layout, written: CTE) -> ColumnElement[Any]:
    """Return the new row's key, NULL where the resource does not show it."""
    for name, column in layout.columns.items():
        if column is layout.key:
            return written.c[name]
    return null()


def _is_key(layout: Layout) -> ColumnElement[bool]:
    return layout.key == bindparam("key", type_=layout.key.type)


def _conditions(layout: Layout, query: Query) -> list[ColumnElement[bool]]:
    conditions = list(_active(layout)) if query.active_only else []
    conditions += [
        _condition(layout.filters[filter_.field], filter_, filter_name(number))
        for number, filter_ in enumerate(query.filters)
    ]
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
    plain = type_.impl_instance if isinstance(type_, TypeDecorator) else type_
    if isinstance(plain, String) and not isinstance(plain, Enum):
        # The array is cast explicitly, and an explicit cast to VARCHAR(n) cuts the
        # text off in silence; as TEXT it meets the column's own length, and fails.
        return Text()
    return plain
