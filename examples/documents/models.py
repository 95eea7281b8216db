"""Users and their items, as documents of MongoDB."""

from decimal import Decimal
from typing import Annotated

from beanie import BackLink, Document, Indexed, Link
from pydantic import BaseModel, EmailStr, Field

from howdah.documents import Timestamps
from howdah.models import SECRET

Name = Annotated[str, Field(min_length=1, max_length=50)]


class User(Timestamps, Document):
    email: Annotated[EmailStr, Indexed(unique=True)]
    username: Name
    hashed_password: Annotated[str, SECRET]
    is_active: bool = True
    items: list[BackLink["Item"]] = Field(
        default=[], json_schema_extra={"original_field": "owner"}
    )

    class Settings:
        name = "users"
        use_revision = True


class Item(Timestamps, Document):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    description: str | None = None
    price: Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=2)]
    owner: Link[User]

    class Settings:
        name = "items"
        use_revision = True


class UserUpdate(BaseModel):
    email: EmailStr | None = None
    username: Name | None = None
    password: Annotated[str, Field(min_length=8)] | None = None


class UserCreate(UserUpdate):
    email: EmailStr
    username: Name
    password: Annotated[str, Field(min_length=8)]
