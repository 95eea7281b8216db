"""Users: what is stored, and what the API takes."""

from typing import Annotated

from beanie import Document, Indexed
from howdah.documents import Timestamps
from howdah.models import SECRET
from pydantic import BaseModel, EmailStr, Field

Username = Annotated[str, Field(min_length=1, max_length=50)]
Password = Annotated[str, Field(min_length=8, max_length=128)]


class User(Timestamps, Document):
    email: Annotated[EmailStr, Indexed(unique=True)]
    username: Annotated[Username, Indexed(unique=True)]
    hashed_password: Annotated[str, SECRET]
    is_active: bool = True

    class Settings:
        name = "users"
        use_revision = True


class UserUpdate(BaseModel):
    """Only what is sent changes."""

    email: EmailStr | None = None
    username: Username | None = None
    password: Password | None = None


class UserCreate(BaseModel):
    email: EmailStr
    username: Username
    password: Password
