"""Items, each with a link to its owner. What the API takes is derived from them."""

from decimal import Decimal
from typing import Annotated

from beanie import Document, Indexed, Link
from howdah.documents import Timestamps
from pydantic import Field

from src.documents.users import User


class Item(Timestamps, Document):
    name: Annotated[str, Field(min_length=1, max_length=100), Indexed()]
    description: Annotated[str | None, Field(max_length=500)] = None
    price: Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=2), Indexed()]
    # With many items say Annotated[Link[User], Indexed()]: MongoDB keeps an index of
    # links, which secantusdb cannot.
    owner: Link[User]

    class Settings:
        name = "items"
        use_revision = True
