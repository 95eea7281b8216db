"""Endpoints of items: list, search, count, batch and the rest come with the resource."""

from typing import ClassVar

from howdah import Resource
from howdah.settings import PageLimits

from src.api.routes.categories import Categories
from src.core.db import db
from src.schemas.items import Item, ItemCreate, ItemResponse, ItemUpdate

PUBLIC = (
    "id",
    "name",
    "description",
    "price",
    "tax",
    "is_active",
    "created_at",
    "updated_at",
    "category_id",
)


class Items(Resource[Item]):
    create_schema = ItemCreate
    update_schema = ItemUpdate
    read_schema = ItemResponse
    search = ("name", "description")
    soft_delete = "is_active"
    filters = (*PUBLIC, "category__name")
    sort = PUBLIC
    include: ClassVar = {"category": Categories}
    # Seldom asked, so not worth an index that every write has to keep.
    unindexed = ("description", "tax", "updated_at")
    page = PageLimits(default=100, maximum=1000)


router = Items(db).router(prefix="/items", tags=["items"])
