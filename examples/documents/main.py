"""Users and items on MongoDB: `make example NAME=documents`."""

from beanie import PydanticObjectId
from fastapi import FastAPI, Response
from models import Item, User, UserCreate, UserUpdate
from pwdlib import PasswordHash
from pymongo.asynchronous.client_session import AsyncClientSession

from howdah import Resource, connect
from howdah.documents import MongoDatabase
from howdah.errors import Conflict, NotFound

passwords = PasswordHash.recommended()
# MONGODB_URL says where; without it, a server for development starts in .howdah/mongo.
db = MongoDatabase(documents=[User, Item])


class Users(Resource[User]):
    create_schema = UserCreate
    update_schema = UserUpdate
    stored_as = {"password": ("hashed_password", passwords.hash)}
    filters = ("email", "username", "is_active", "items__name")
    sort = ("username", "email", "created_at")
    search = ("username", "email")
    soft_delete = "is_active"
    upsert = ("email",)


class Items(Resource[Item]):
    filters = ("name", "price", "owner_id", "owner__email")
    aliases = {"min_price": "price__gte", "max_price": "price__lte"}
    sort = ("name", "price", "created_at")
    search = ("name", "description")
    include = {"owner": Users}


app = FastAPI(title="Users and items on MongoDB")
connect(app, db)
app.include_router(Users(db).router(prefix="/users", tags=["users"]))
app.include_router(Items(db).router(prefix="/items", tags=["items"]))

Key = PydanticObjectId


@app.post("/transfer/", tags=["items"], status_code=204, response_class=Response)
async def transfer(item_id: Key, from_user_id: Key, to_user_id: Key) -> None:
    """Give an item to another user, if it is still the first one's."""

    async def give(session: AsyncClientSession) -> None:
        item = await Item.get(item_id, session=session)
        to = await User.get(to_user_id, session=session)
        if item is None or to is None:
            raise NotFound
        if item.owner.ref.id != from_user_id:
            raise Conflict("the item belongs to somebody else").naming(
                ("from_user_id",)
            )
        item.owner = to
        await item.save(session=session)

    # Of several at once one is in the way of the others, which then try again.
    await db.run(give)


@app.delete("/users/{user_id}/all", tags=["users"], status_code=204)
async def leave(user_id: Key) -> None:
    """Remove a user and all of their items: both or neither."""
    async with db.transaction() as session:
        user = await User.get(user_id, session=session)
        if user is None:
            raise NotFound(model="User", key=user_id)
        items = Item.find({"owner": user.to_ref()}, session=session)
        await items.delete(session=session)
        await user.delete(session=session)
