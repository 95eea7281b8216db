"""What people send for new rows, as the instances of a schema hold it.

Stores ask for rows by the names of their fields. A thousand dictionaries take longer to
make than the rest of a batch, so they are made when somebody looks at one. Knows no
store, and no SQL.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, overload

from pydantic import BaseModel
from sqlalchemy import Column

from howdah.schemas import has_default

__all__ = ("ReadRows", "SentRows", "is_sent", "sent")


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


def is_sent(values: BaseModel, name: str) -> bool:
    """Say the same of one field of a column that has a default."""
    return name in values.model_fields_set or values.__dict__[name] is not None


class ReadRows(list[BaseModel]):
    """Instances as a body has them, with the JSON of all their fields."""

    def __init__(self, models: Iterable[BaseModel], text: bytes) -> None:
        super().__init__(models)
        self.text = text


class SentRows(Sequence[Mapping[str, Any]]):
    """The `sent` of each of these instances, made when it is asked for."""

    def __init__(
        self, models: Sequence[BaseModel], fields: Mapping[str, Column[Any]]
    ) -> None:
        self.models = models
        self.text = models.text if isinstance(models, ReadRows) else None
        """Their JSON, where it is known."""
        self._fields = fields

    @cached_property
    def _rows(self) -> Sequence[Mapping[str, Any]]:
        return [sent(model, self._fields) for model in self.models]

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._rows[index]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self.models)
