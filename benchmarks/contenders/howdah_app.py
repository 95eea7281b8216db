"""Howdah: a resource, as its quickstart writes one."""

import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header

from benchmarks.tables import Item, ItemCreate, ItemRead, ItemUpdate
from howdah import Database, PageLimits, Resource, Settings, connect


class Items(Resource[Item]):
    create_schema = ItemCreate
    update_schema = ItemUpdate
    read_schema = ItemRead
    filters = ("price",)
    sort = ("id", "price")
    search = ("name", "description")
    soft_delete = "is_active"
    page = PageLimits(default=100, maximum=1000)


async def current_user(authorization: Annotated[str, Header()]) -> int:
    """Stand for a token that is checked: who is it?"""
    return int(authorization.removeprefix("Bearer "))


class Mine(Items):
    """The items of who calls."""

    def scope(self, user: Annotated[int, Depends(current_user)]) -> Any:
        return Item.owner_id == user


# Half of the connections serve resources: as many as the others have.
db = Database(Settings(database_url=os.environ["DATABASE_URL"], db_pool_size=64))
app = FastAPI()
connect(app, db)
app.include_router(Items(db).router(prefix="/items", tags=["items"]))
app.include_router(Mine(db).router(prefix="/mine", tags=["mine"]))
