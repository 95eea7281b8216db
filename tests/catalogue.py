"""The models that most tests speak of, items in categories, and an app for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import httpx
from fastapi import FastAPI
from pydantic import BaseModel
from sqlmodel import Field, Relationship, SQLModel

from howdah import (
    Database,
    Money,
    OptionalMoney,
    Repository,
    Resource,
    SoftDeleteFields,
    TimestampFields,
    connect,
)
from howdah.models import idempotency_table


class Category(SQLModel, table=True):
    __tablename__ = "categories"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=50, unique=True)


class CategoryCreate(BaseModel):
    name: str = Field(min_length=1, max_length=50)


class CategoryUpdate(BaseModel):
    name: str | None = Field(default=None, min_length=1, max_length=50)


class CategoryRead(BaseModel):
    id: int
    name: str


class ItemBase(SQLModel):
    name: str = Field(min_length=1, max_length=100)
    description: str | None = Field(default=None, max_length=500)
    price: Money = Field(gt=0)
    tax: OptionalMoney = Field(default=None, ge=0)
    is_active: bool = True
    category_id: int | None = Field(default=None, foreign_key="categories.id")


class Item(ItemBase, TimestampFields, SoftDeleteFields, table=True):
    __tablename__ = "items"

    id: int | None = Field(default=None, primary_key=True)

    category: Category | None = Relationship()


class ItemCreate(ItemBase):
    pass


class ItemUpdate(SQLModel):
    name: str | None = Field(default=None, min_length=1, max_length=100)
    description: str | None = Field(default=None, max_length=500)
    price: OptionalMoney = Field(default=None, gt=0)
    tax: OptionalMoney = Field(default=None, ge=0)
    is_active: bool | None = None
    category_id: int | None = None


class ItemRead(BaseModel):
    id: int
    name: str
    description: str | None
    price: Money
    tax: OptionalMoney
    is_active: bool
    created_at: datetime
    updated_at: datetime | None
    category_id: int | None


class Categories(Resource[Category]):
    create_schema = CategoryCreate
    update_schema = CategoryUpdate
    read_schema = CategoryRead


class Items(Resource[Item]):
    create_schema = ItemCreate
    update_schema = ItemUpdate
    read_schema = ItemRead
    search = ("name", "description")
    soft_delete = "is_active"


class ItemRepository(Repository[Item]):
    pass


TABLES = [
    Category.__table__,
    Item.__table__,
    idempotency_table(SQLModel.metadata),
]
NOTEBOOK = {"name": "notebook", "price": 1500000, "tax": 150000}


async def create_tables(db: Database) -> None:
    async with db.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all, tables=TABLES)


def make_app(db: Database) -> FastAPI:
    app = FastAPI()
    connect(app, db)
    app.include_router(Items(db).router(prefix="/items", tags=["items"]))
    app.include_router(Categories(db).router(prefix="/categories"))
    return app


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client inside the process; faults of the app come back as its answers."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def assert_problem(response: httpx.Response, status: int, code: str) -> dict:
    """Every error has one form; return its members."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    members = response.json()
    assert members["type"] == f"urn:howdah:problem:{code}"
    assert (members["status"], members["code"]) == (status, code)
    assert isinstance(members["detail"], str)
    assert members["title"]
    return members
