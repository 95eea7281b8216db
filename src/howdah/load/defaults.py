"""What a new row gets in a column that neither the file nor the schema mentions.

The defaults that SQLAlchemy or SQLModel would apply in Python are applied here; those
of the server are left to the server. Knows no file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from pydantic import BaseModel
from sqlalchemy import Column

from howdah.errors import Misconfigured
from howdah.load.convert import convert_of

__all__ = ("Default", "Maker", "default_of")


@dataclass(frozen=True, slots=True)
class Maker:
    """What makes the value of a row; a `fixed` one is the same for all of them."""

    make: Callable[[], Any]
    fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """A column and what makes the value of a row for it."""

    column: Column[Any]
    maker: Maker

    def values(self, count: int) -> Sequence[Any]:
        """Make the values of so many rows, in the form that the driver takes."""
        convert = convert_of(self.column)
        values = [self.maker.make() for _ in range(count)]
        return convert(values) if convert else values


def default_of(model: type[Any] | None, column: Column[Any]) -> Default | None:
    """Return what fills the column in Python, or None where the server does."""
    maker = _of_column(column) or _of_model(model, column)
    return None if maker is None else Default(column=column, maker=maker)


def _of_column(column: Column[Any]) -> Maker | None:
    default: Any = column.default
    if default is None:
        return None
    if default.is_scalar:
        return Maker(lambda: default.arg, fixed=True)
    if default.is_callable:
        # SQLAlchemy wraps the function so that it takes its execution context.
        return Maker(lambda: default.arg(None))
    if column.server_default is not None:
        return None
    raise Misconfigured(
        f"the default of {column.table.name}.{column.name} is an SQL expression, which "
        "COPY cannot apply; make it the server_default"
    )


def _of_model(model: type[Any] | None, column: Column[Any]) -> Maker | None:
    """Return the default that SQLModel keeps in the field, not in the column."""
    if model is None or not issubclass(model, BaseModel) or column.server_default:
        return None
    attribute = sqlalchemy.inspect(model).get_property_by_column(column).key
    info = model.model_fields.get(attribute)
    if info is None or info.is_required():
        return None
    if info.default_factory is not None:
        factory: Callable[[], Any] = info.default_factory  # type: ignore[assignment]
        return Maker(factory)
    return None if info.default is None else Maker(lambda: info.default, fixed=True)
