"""What both doors of a repository share: the model, its statements, its errors.

No I/O: a door sends these statements, one with `await` and one without.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Generic, TypeVar, cast

from pydantic import BaseModel
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Delete,
    Label,
    Select,
    Update,
    any_,
    delete,
    func,
    inspect,
    literal,
    true,
    tuple_,
    update,
)
from sqlalchemy import select as plain_select
from sqlalchemy.sql.base import ExecutableOption

from howdah.drivers import translated
from howdah.errors import HowdahError, Misconfigured, NotFound
from howdah.limits import holds, largest
from howdah.models import constraint_fields, declared_model
from howdah.paging import KeysetPage
from howdah.repository.asking import Filters, SortBy, matching, position, selected
from howdah.repository.upserting import upserted
from howdah.search import FullText

__all__ = ("NOTHING", "Options", "Values", "Verbs", "dumped", "key_of")

M = TypeVar("M")
Values = BaseModel | Mapping[str, Any]
Options = Sequence[ExecutableOption]
NOTHING: Filters = {}


class Verbs(Generic[M]):
    """A model, declared as `class Users(Repository[User])`."""

    model: ClassVar[type[Any]]
    search_in: ClassVar[tuple[str, ...] | FullText] = ()
    """The texts that `matching` looks into, or `FullText()`, as of a resource."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        model = declared_model(cls)
        if model is not None:
            cls.model = model

    def __init__(self) -> None:
        if not hasattr(self, "model"):
            name = type(self).__name__
            raise Misconfigured(
                f"{name} has no model; declare it as class {name}(Repository[Model])"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model.__name__})"

    def _can_be(self, key: Any) -> bool:
        """Say whether the columns of the key could hold it; else no row has it."""
        values = key if isinstance(key, tuple) else (key,)
        limits = [largest(each.type) for each in inspect(self.model).primary_key]
        return all(
            limit is None or not isinstance(value, int) or holds(limit, value)
            for value, limit in zip(values, limits, strict=False)
        )

    def _keyed(
        self,
        keys: Sequence[Any],
        dialect: str,
        *,
        lock: bool = False,
        options: Options = (),
    ) -> Select[tuple[M]]:
        """Return the SELECT of the rows with these keys, in the order of keys."""
        columns = inspect(self.model).primary_key
        held = [key for key in keys if self._can_be(key)]
        found: Select[tuple[M]] = plain_select(self.model)
        found = found.where(_is_among(columns, held, dialect))
        if lock:
            # What the session knows of a row is older than the lock.
            found = found.with_for_update(of=self.model).execution_options(
                populate_existing=True
            )
        return found.options(*options).order_by(*columns)

    def _in_order(self, keys: Sequence[Any], rows: Iterable[M]) -> list[M]:
        """Return rows in the order of keys; raise NotFound where one lacks."""
        known = {key_of(row): row for row in rows}
        for key in keys:
            if key not in known:
                raise NotFound(model=self.model.__name__, key=key)
        return [known[key] for key in keys]

    def matching(self, text: str | None) -> ColumnElement[bool]:
        """Return the condition that a row has this text in a field of `search_in`.

        It is the search of a resource, in which `%` and `_` mean themselves. Without a
        text all rows meet it.
        """
        return matching(self.model, self.search_in, text) if text else true()

    def select(
        self, *where: ColumnElement[bool], filters: Filters = NOTHING
    ) -> Select[tuple[M]]:
        """Return the plain SELECT of these rows: order it, join it, send it yourself.

        `fetch` sends it as this repository sends its own.
        """
        return selected(self.model, where, filters)

    def after(self, row: M, *, sort: SortBy = "", limit: int = 100) -> KeysetPage:
        """Return the page behind a row, for `list` with the same sort."""
        return KeysetPage(limit=limit, position=position(row, sort))

    def before(self, row: M, *, sort: SortBy = "", limit: int = 100) -> KeysetPage:
        """Return the page before a row, for `list` with the same sort."""
        place = position(row, sort)
        return KeysetPage(limit=limit, position=place, direction="prev")

    def _counted(
        self, where: Sequence[ColumnElement[bool]], filters: Filters
    ) -> Select[tuple[int]]:
        found = self.select(*where, filters=filters)
        return found.with_only_columns(func.count(), maintain_column_froms=True)

    def _existing(
        self, where: Sequence[ColumnElement[bool]], filters: Filters
    ) -> Select[tuple[bool]]:
        return plain_select(self.select(*where, filters=filters).exists())

    def _summed(
        self, column: Any, where: Sequence[ColumnElement[bool]], filters: Filters
    ) -> Select[Any]:
        total: ColumnElement[Any] = func.coalesce(func.sum(column), 0)
        return self._aggregated(where, filters, (), {"total": total})

    def _upserted(
        self, rows: Sequence[Mapping[str, Any]], on: str | Sequence[str], dialect: str
    ) -> Any:
        key = (on,) if isinstance(on, str) else tuple(on)
        return upserted(self.model, rows, key, dialect)

    def _aggregated(
        self,
        where: Sequence[ColumnElement[bool]],
        filters: Filters,
        by: Sequence[Any],
        values: Mapping[str, ColumnElement[Any]],
    ) -> Select[Any]:
        if not values:
            raise Misconfigured(
                "aggregate computes nothing; name a value, as in "
                "aggregate(rows=func.count())"
            )
        named: list[Label[Any]] = [value.label(name) for name, value in values.items()]
        found: Select[Any] = self.select(*where, filters=filters)
        found = found.with_only_columns(*by, *named, maintain_column_froms=True)
        return found.group_by(*by)

    def _deleted(
        self, where: Sequence[ColumnElement[bool]], filters: Filters
    ) -> Delete:
        if not where and not filters:
            raise Misconfigured(
                "delete_many has no condition and would remove every row; say "
                "delete_many(true()) where that is meant"
            )
        return delete(self.model).where(self._met(where, filters))

    def _updated(
        self,
        values: Values,
        where: Sequence[ColumnElement[bool]],
        filters: Filters,
    ) -> Update | None:
        """Return the UPDATE, None where it would change nothing."""
        if not where and not filters:
            raise Misconfigured(
                "update_many has no condition and would change every row; say "
                "update_many(values, true()) where that is meant"
            )
        changes = dumped(values, set_only=True)
        self._check(changes)
        if not changes:
            return None
        return update(self.model).where(self._met(where, filters)).values(changes)

    def _met(
        self, where: Sequence[ColumnElement[bool]], filters: Filters
    ) -> ColumnElement[bool]:
        clause = self.select(*where, filters=filters).whereclause
        # Without a clause `where` was true() alone.
        return true() if clause is None else clause

    def _check(self, names: Iterable[str]) -> None:
        known = inspect(self.model).all_orm_descriptors
        unknown = [name for name in names if name not in known]
        if unknown:
            raise Misconfigured(
                f"{self.model.__name__} has no {', '.join(unknown)}; it has "
                f"{', '.join(sorted(known.keys()))}"
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise Howdah's errors, with the names of the fields that are to blame."""
        try:
            with translated():
                yield
        except HowdahError as error:
            tables = inspect(self.model).local_table.metadata.tables.values()
            error.naming(constraint_fields(error.constraint, tables))
            raise


def _is_among(
    columns: Sequence[Any], keys: Sequence[Any], dialect: str
) -> ColumnElement[bool]:
    if len(columns) > 1:
        return tuple_(*columns).in_(keys)
    (column,) = columns
    if dialect != "postgresql":
        return cast("ColumnElement[bool]", column.in_(keys))
    # One parameter, however many keys: a statement has 32,767 at most.
    given: Any = literal(keys, ARRAY(column.type))
    return cast("ColumnElement[bool]", column == any_(given))


def key_of(row: Any) -> Any:
    """Return the key of a row as `get` takes it."""
    identity: tuple[Any, ...] = inspect(row).identity
    return identity if len(identity) > 1 else identity[0]


def dumped(values: Values, *, set_only: bool = False) -> dict[str, Any]:
    """Return values by the names of their fields."""
    if isinstance(values, BaseModel):
        return values.model_dump(exclude_unset=set_only)
    return dict(values)
