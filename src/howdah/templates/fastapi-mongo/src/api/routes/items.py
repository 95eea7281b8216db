"""Endpoints of items: list, search, count, batch and the rest come with the resource."""

from typing import ClassVar

from beanie import PydanticObjectId
from howdah import Resource
from howdah.errors import Conflict, NotFound
from pydantic import BaseModel
from pymongo.asynchronous.client_session import AsyncClientSession

from src.api.routes.users import Users
from src.core.db import db
from src.documents.items import Item
from src.documents.users import User


class Items(Resource[Item]):
    filters = ("id", "name", "price", "created_at", "owner_id", "owner__email")
    aliases: ClassVar = {"min_price": "price__gte", "max_price": "price__lte"}
    sort = ("name", "price", "created_at")
    search = ("name", "description")
    include: ClassVar = {"owner": Users}


router = Items(db).router(prefix="/items", tags=["items"])


class Transfer(BaseModel):
    from_user_id: PydanticObjectId
    to_user_id: PydanticObjectId


@router.post("/{item_id}/transfer", status_code=204)
async def transfer_item(item_id: PydanticObjectId, order: Transfer) -> None:
    """Give an item to another user, if it is still the first one's."""

    async def give(session: AsyncClientSession) -> None:
        item = await Item.get(item_id, session=session)
        if item is None:
            raise NotFound(model="Item", key=item_id)
        receiver = await User.get(order.to_user_id, session=session)
        if receiver is None:
            raise NotFound(model="User", key=order.to_user_id)
        if item.owner.ref.id != order.from_user_id:
            raise Conflict("The item is somebody else's.").naming(("from_user_id",))
        await item.set({"owner": receiver.to_ref()}, session=session)

    # Of several at once one is in the way of the others, which then try again.
    await db.run(give)
