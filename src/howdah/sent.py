"""What people send for new rows, as the instances of a schema hold it.

Stores ask for rows by the names of their fields. A thousand dictionaries take longer to
make than the rest of a batch, so they are made when somebody looks at one. Knows no
store, and no SQL.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, overload

from pydantic import BaseModel
from sqlalchemy import Column

from howdah.schemas import has_default

__all__ = ("ReadRows", "SentChanges", "SentRows", "Values", "sent")


def sent(values: BaseModel, fields: Mapping[str, Column[Any]]) -> dict[str, Any]:
    """Return the values of a new row, without those that its columns will fill.

    A field that was not sent and has no value is not NULL where the column has a
    default.
    """
    given = values.model_fields_set
    return {
        name: value
        for name, value in values.model_dump().items()
        if value is not None or name in given or not has_default(fields[name])
    }


Values = Sequence[Mapping[str, Any]]


class ReadRows(Sequence[BaseModel]):
    """New rows as a body gave them, read without an instance for each.

    Instances are made when somebody looks at one, and so are values.
    """

    def __init__(
        self,
        schema: type[BaseModel],
        size: int,
        read: Callable[[], Values],
        *,
        filled: Mapping[str, Any],
        text: bytes | None = None,
        full: bool = False,
    ) -> None:
        self.schema = schema
        self._size = size
        self._read = read
        self._filled = filled
        self.text = text
        """The `values` as JSON, where it is known."""
        self.full = full
        """Whether each row sends each field."""

    @cached_property
    def given(self) -> Values:
        """What each row sends."""
        return self._read()

    @cached_property
    def values(self) -> Values:
        """What each row sends, and the defaults of the schema but None."""
        if self.full or not self._filled:
            return self.given
        return [{**self._filled, **row} for row in self.given]

    @cached_property
    def _models(self) -> Sequence[BaseModel]:
        return [self.schema.model_construct(**values) for values in self.values]

    @overload
    def __getitem__(self, index: int) -> BaseModel: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[BaseModel]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """Return instances of the schema."""
        return self._models[index]

    def __len__(self) -> int:
        return self._size


class SentChanges(Sequence[Mapping[str, Any]]):
    """What each of these rows sends to change one that is there, and its key."""

    def __init__(self, rows: ReadRows) -> None:
        self.schema = rows.schema
        self.text = rows.text
        self.full = rows.full
        self.values = rows.given

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """Return rows as stores take them."""
        return self.values[index]

    def __len__(self) -> int:
        return len(self.values)


class SentRows(Sequence[Mapping[str, Any]]):
    """The `sent` of each of these instances, made when it is asked for."""

    def __init__(
        self, models: Sequence[BaseModel], fields: Mapping[str, Column[Any]]
    ) -> None:
        self._models = models
        self._fields = fields
        self.text = models.text if isinstance(models, ReadRows) else None
        """The `values` as JSON, where it is known."""

    @property
    def schema(self) -> type[BaseModel] | None:
        """The class of all instances, None where they have several."""
        if isinstance(self._models, ReadRows):
            return self._models.schema
        schemas = {type(model) for model in self._models}
        return schemas.pop() if len(schemas) == 1 else None

    @cached_property
    def values(self) -> Sequence[Mapping[str, Any]]:
        """What instances hold; what one lacks was not sent, and has no value."""
        if isinstance(self._models, ReadRows):
            return self._models.values
        return [model.__dict__ for model in self._models]

    def which_send(self, name: str) -> Sequence[bool]:
        """Return which rows send a field of a column that has a default.

        One value stands for all rows where each sends every field.
        """
        if isinstance(self._models, ReadRows):
            if self._models.full:
                return (True,)
            return [name in values for values in self._models.values]
        return [
            name in model.model_fields_set or model.__dict__[name] is not None
            for model in self._models
        ]

    @cached_property
    def _rows(self) -> Sequence[Mapping[str, Any]]:
        if isinstance(self._models, ReadRows):
            return self._models.values
        return [sent(model, self._fields) for model in self._models]

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """Return rows as stores take them."""
        return self._rows[index]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._models)
