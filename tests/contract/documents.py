"""The same books, shelves, countries and tokens, as documents of Beanie's."""

import datetime as dt
import uuid
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any

from beanie import BackLink, Document, Indexed, Link
from contract import fuzzed_documents, models
from contract.models import Mood
from contract.shapes import Fuzzed
from pydantic import Field
from pymongo import IndexModel

from howdah import Resource
from howdah.documents import Timestamps
from howdah.resource import Embed

Whole = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Price = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class Shelf(Document):
    id: int | None = None
    name: Annotated[str, Field(max_length=20), Indexed(unique=True)]
    books: list[BackLink["Book"]] = Field(
        default=[], json_schema_extra={"original_field": "shelf"}
    )

    class Settings:
        name = "shelves"
        use_revision = True


class Book(Timestamps, Document):
    id: int | None = None
    title: Annotated[str, Field(max_length=30)]
    blurb: str | None = None
    pages: Whole | None = None
    sold: int | None = None
    price: Price | None = None
    weight: float | None = None
    bulk: float | None = None
    lent: bool | None = None
    printed: dt.date | None = None
    read_at: dt.datetime | None = None
    mood: Mood | None = None
    isbn: uuid.UUID | None = None
    is_active: bool = True
    shelf: Link[Shelf] | None = None

    class Settings:
        name = "books"
        use_revision = True
        indexes = (
            # To MongoDB null is a value like others, which only one may have.
            IndexModel(
                "isbn",
                unique=True,
                partialFilterExpression={"isbn": {"$type": "binData"}},
            ),
        )


class Country(Document):
    """Without a revision: its versions are told by what it holds."""

    id: Annotated[str, Field(max_length=2)]
    name: str
    tongue: str = "en"
    deleted_at: dt.datetime | None = None

    class Settings:
        name = "countries"
        indexes = (
            IndexModel(
                "name",
                unique=True,
                partialFilterExpression={"deleted_at": {"$type": "null"}},
            ),
        )


class Token(Document):
    id: uuid.UUID = Field(default_factory=uuid.uuid4)
    name: str

    class Settings:
        name = "tokens"
        use_revision = True


TWINS = {
    models.Shelf: Shelf,
    models.Book: Book,
    models.Country: Country,
    models.Token: Token,
}


def of_documents(resource: type[Resource]) -> type[Resource]:
    """Return the resource, declared of documents."""
    embedded = {name: embedded_documents(it) for name, it in resource.include.items()}
    twin = type(resource.__name__, (resource,), {"include": embedded})
    twin.model = _twin(resource.model)
    return twin


def _twin(model: type[Any]) -> type[Document]:
    # The random models are made before their twins, and not for who asks in vain.
    return (fuzzed_documents.twins() if issubclass(model, Fuzzed) else TWINS)[model]


def embedded_documents(embedded: Any) -> Any:
    if isinstance(embedded, Embed):
        return replace(embedded, shown=of_documents(embedded.shown))
    return of_documents(embedded)
