"""Howdah: a resource, as its quickstart writes one."""

import os

from fastapi import FastAPI

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


db = Database(Settings(database_url=os.environ["DATABASE_URL"]))
app = FastAPI()
connect(app, db)
app.include_router(Items(db).router(prefix="/items", tags=["items"]))
