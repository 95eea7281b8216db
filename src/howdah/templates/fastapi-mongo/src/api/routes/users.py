"""Endpoints of users, and one written by hand beside the resource."""

from typing import ClassVar

from beanie import PydanticObjectId
from howdah import Resource
from howdah.errors import NotFound
from pwdlib import PasswordHash
from pymongo.asynchronous.client_session import AsyncClientSession

from src.core.db import db
from src.documents.items import Item
from src.documents.users import User, UserCreate, UserUpdate

passwords = PasswordHash.recommended()


class Users(Resource[User]):
    create_schema = UserCreate
    update_schema = UserUpdate
    stored_as: ClassVar = {"password": ("hashed_password", passwords.hash)}
    filters = ("id", "email", "username", "is_active", "created_at")
    sort = ("email", "username", "created_at")
    search = ("email", "username")
    soft_delete = "is_active"


router = Users(db).router(prefix="/users", tags=["users"])


@router.delete("/{user_id}/all", status_code=204)
async def delete_user_and_items(user_id: PydanticObjectId) -> None:
    """Remove a user and all of their items: both or neither."""

    async def remove(session: AsyncClientSession) -> None:
        user = await User.get(user_id, session=session)
        if user is None:
            raise NotFound(model="User", key=user_id)
        items = Item.find({"owner": user.to_ref()}, session=session)
        await items.delete(session=session)
        await user.delete(session=session)

    # Where another transaction was in its way, it is tried again.
    await db.run(remove)
