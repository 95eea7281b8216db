"""Endpoints of categories, and one written by hand beside the resource."""

from typing import Annotated

from fastapi import Query
from howdah import Resource
from sqlmodel import col

from src.api.deps import ItemCRUDDep, SessionDep
from src.core.db import db
from src.crud.categories import CategoryCRUD
from src.schemas.items import (
    Category,
    CategoryCreate,
    CategoryResponse,
    CategoryUpdate,
    Item,
    ItemResponse,
)


class Categories(Resource[Category]):
    create_schema = CategoryCreate
    update_schema = CategoryUpdate
    read_schema = CategoryResponse
    search = ("name",)
    filters = ("id", "name", "description")
    sort = filters
    # There are few categories.
    unindexed = ("description", "search")


router = Categories(db).router(prefix="/categories", tags=["categories"])


@router.get("/{category_id}/items", response_model=list[ItemResponse])
async def read_items_of_category(
    category_id: int,
    session: SessionDep,
    crud: ItemCRUDDep,
    skip: Annotated[int, Query(ge=0, le=100_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    active_only: bool = True,
) -> list[Item]:
    """Get the items of a category."""
    await CategoryCRUD(session).get(category_id)
    return await crud.get_many(
        col(Item.category_id) == category_id,
        skip=skip,
        limit=limit,
        active_only=active_only,
    )
