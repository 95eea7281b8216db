"""The rows of a batch as a table that statements read: arrays, or a text, or both.

An array has the values of one column; a text of JSON has those of several, and costs
the driver less, where the types of the columns allow it.

Rows may send different fields. Where they do, a second array beside the values says
which rows sent one, since NULL is a value like others.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    Boolean,
    ColumnElement,
    ScalarSelect,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    except_,
    func,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from howdah.statements.layout import (
    ColumnOfRows,
    Layout,
    array_type,
    key_name,
    uncut,
)

__all__ = (
    "POSITION",
    "ROWS",
    "Given",
    "absent",
    "given_rows",
    "sent_name",
    "value_name",
)

# No column has such a name; one named like a table would stand for it in `f(table)`.
_ARRAYS, _GIVEN, POSITION = "__arrays", "__given", "__position"
ROWS = "__rows"
"""The name of the parameter with the text of rows, a JSON list of objects."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Given:
    """The rows of a batch, numbered from 1 in the order in which they came."""

    layout: Layout
    rows: CTE
    names: tuple[str, ...]
    partly: frozenset[str]
    """The fields that some of the rows leave out."""
    same: frozenset[str] = frozenset()
    """The fields whose value is the same in all rows."""

    @property
    def position(self) -> ColumnElement[int]:
        """The number of a row."""
        return self.rows.c[POSITION]

    def value(self, name: str) -> ColumnElement[Any]:
        """Return what rows give for a field; NULL where they leave it out."""
        if name in self.same:
            type_ = uncut(self.layout.fields[name].type)
            return bindparam(value_name(name), type_=type_)
        given = self.rows.c[value_name(name)]
        array = array_type(self.layout.fields[name].type)
        return given if array is None else cast(given, array)

    def value_or(self, name: str, other: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what rows give for a field, and the other where they leave it out."""
        if name not in self.partly:
            return self.value(name)
        return case((self.rows.c[sent_name(name)], self.value(name)), else_=other)

    def sends_something(self) -> ColumnElement[bool]:
        """Return the condition of rows that send any field beside their key."""
        return self.rows.c[sent_name("")]

    def is_key(self) -> ColumnElement[bool]:
        """Return the condition of the row in scope whose key a row gives."""
        pairs = zip(self.layout.keys, key_names(self.layout), strict=True)
        same = (column == self.rows.c[name] for column, name in pairs)
        return and_(*self.layout.within, *same)


def given_rows(
    layout: Layout,
    names: Sequence[str],
    *,
    partly: Collection[str] = (),
    keyed: bool = False,
    idle: bool = False,
    flags: Sequence[str] = (),
    texts: Sequence[str] = (),
    same: Sequence[str] = (),
) -> Given:
    """Return the rows that parameters hold, each parameter an array with a value a row.

    They are the `value_name` of each field, the `sent_name` of each that only some rows
    send, with keyed the `key_name` of each column of the key, and with idle (where some
    rows send nothing) the `sent_name` of no field; flags are more booleans, by name.
    The fields that are `texts` have no array, but are members of the objects in `ROWS`,
    and of those that are the `same` in all rows there is one value.
    """
    various = [name for name in names if name not in same]
    fields = {value_name(name): layout.fields[name].type for name in various}
    if keyed:
        keys = zip(key_names(layout), layout.keys, strict=True)
        fields |= {name: column.type for name, column in keys}
    said = [name for name in names if name in partly] + ([""] if idle else [])
    fields |= dict.fromkeys((*map(sent_name, said), *flags), Boolean())
    return Given(
        layout=layout,
        rows=select(*_unnested(fields, texts)).cte(_GIVEN),
        names=tuple(names),
        partly=frozenset(partly),
        same=frozenset(same),
    )


def absent(given: Given, found: CTE) -> ScalarSelect[Any]:
    """Return the positions of the rows that are not among those found, or NULL."""
    # EXCEPT is hashed or sorted, while joins of what no statistics are known of may
    # become loops in loops.
    lost = except_(select(given.position), select(found.c[POSITION])).subquery("__lost")
    number = lost.c[POSITION]
    numbers = func.array_agg(number, type_=ARRAY(BigInteger))
    return select(numbers).scalar_subquery()


def key_names(layout: Layout) -> list[str]:
    """Return the names of the parameters of a key's columns."""
    return [key_name(number) for number in range(len(layout.keys))]


def value_name(field: str) -> str:
    """Return the name of the parameter that a field's new value has."""
    return f"v_{field}"


def sent_name(field: str) -> str:
    """Return the name of the parameter that says which rows send a field."""
    return f"__sent_{field}"


def _unnested(
    fields: Mapping[str, TypeEngine[Any]], texts: Sequence[str]
) -> Iterable[ColumnElement[Any]]:
    types = {name: ColumnOfRows(type_) for name, type_ in fields.items()}
    told = {name: types.pop(value_name(name)).item_type for name in texts}
    arrays = [bindparam(name, type_=type_) for name, type_ in types.items()]
    columns = [column(value_name(name), type_) for name, type_ in told.items()]
    columns += [column(name, type_.item_type) for name, type_ in types.items()]
    source = _Beside(told, arrays) if told else func.unnest(*arrays)
    given = source.table_valued(*columns, with_ordinality=POSITION, name=_ARRAYS)
    return given.render_derived().c


class _Beside(FunctionElement[Any]):
    """The rows of a text, and beside each what arrays have in its place."""

    inherit_cache = False

    def __init__(
        self, told: Mapping[str, TypeEngine[Any]], arrays: Sequence[ColumnElement[Any]]
    ) -> None:
        super().__init__(bindparam(ROWS, type_=Text()), *arrays)
        self.told = told


@compiles(_Beside)
def _beside(element: _Beside, compiler: Any, **options: Any) -> str:
    text, *arrays = (compiler.process(it, **options) for it in element.clauses)
    quote, spell = compiler.preparer.quote, compiler.dialect.type_compiler_instance
    members = ", ".join(
        f"{quote(name)} {spell.process(type_)}" for name, type_ in element.told.items()
    )
    sources = [f"json_to_recordset(CAST({text} AS JSON)) AS ({members})"]
    if arrays:
        sources.append(f"unnest({', '.join(arrays)})")
    return f"ROWS FROM ({', '.join(sources)}) WITH ORDINALITY"
