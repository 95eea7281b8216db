"""Categories and items: the tables, and what the API takes and gives."""

from howdah.models import (
    Moment,
    Money,
    OptionalMoney,
    TimestampFields,
    idempotency_table,
)
from howdah.search import trigram_index
from sqlmodel import Field, Index, Relationship, SQLModel

# With this table a POST that is sent again with its Idempotency-Key is done once.
idempotency_table(SQLModel.metadata)


class CategoryBase(SQLModel):
    name: str = Field(min_length=1, max_length=50, unique=True)
    description: str | None = Field(default=None, max_length=500)


class Category(CategoryBase, table=True):
    __tablename__ = "categories"

    id: int | None = Field(default=None, primary_key=True)

    items: list["Item"] = Relationship(back_populates="category")


class CategoryCreate(CategoryBase):
    pass


class CategoryUpdate(SQLModel):
    name: str | None = Field(default=None, min_length=1, max_length=50)
    description: str | None = Field(default=None, max_length=500)


class CategoryResponse(SQLModel):
    id: int
    name: str
    description: str | None


class ItemBase(SQLModel):
    name: str = Field(min_length=1, max_length=100, index=True)
    description: str | None = Field(default=None, max_length=500)
    price: Money = Field(gt=0)
    tax: OptionalMoney = Field(default=None, ge=0)
    is_active: bool = True
    category_id: int | None = Field(
        default=None, foreign_key="categories.id", index=True
    )


class Item(ItemBase, TimestampFields, table=True):
    __tablename__ = "items"
    __table_args__ = (
        Index("ix_items_price_active", "price", "is_active"),
        Index("ix_items_created_at", "created_at"),
        Index("ix_items_name_description", "name", "description"),
        trigram_index("ix_items_search", "name", "description"),
    )

    id: int | None = Field(default=None, primary_key=True)

    category: Category | None = Relationship(back_populates="items")


class ItemCreate(ItemBase):
    pass


class ItemUpdate(SQLModel):
    """Only what is sent changes."""

    name: str | None = Field(default=None, min_length=1, max_length=100)
    description: str | None = Field(default=None, max_length=500)
    price: OptionalMoney = Field(default=None, gt=0)
    tax: OptionalMoney = Field(default=None, ge=0)
    is_active: bool | None = None
    category_id: int | None = None


class ItemResponse(SQLModel):
    id: int
    name: str
    description: str | None
    price: Money
    tax: OptionalMoney
    is_active: bool
    created_at: Moment
    updated_at: Moment | None
    category_id: int | None
