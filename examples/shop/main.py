"""A shop: users with a balance, items that they own and wish for, transfers of both.

`make example NAME=shop` serves it; docs/how-to/shop.md builds it step by step.
"""

from decimal import Decimal
from typing import Annotated

from fastapi import Depends, FastAPI, Header
from models import Base, Item, Transfer, User
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy.ext.asyncio import AsyncSession

from howdah import (
    Conflict,
    Database,
    Money,
    PageLimits,
    Repository,
    Resource,
    connect,
)
from howdah.errors import IdempotencyMismatch
from howdah.models import Moment
from howdah.problems import responses

db = Database()
app = FastAPI(title="Shop")
connect(app, db, tables=Base.metadata)


Name = Annotated[str, Field(min_length=1, max_length=100)]
Price = Annotated[Money, Field(gt=0)]


class ItemCreate(BaseModel, extra="forbid"):
    name: Name
    description: str | None = None
    price: Price
    owner_id: int | None = None


class ItemUpdate(BaseModel):
    name: Name | None = None
    description: str | None = None
    price: Price | None = None


class Items(Resource[Item]):
    create_schema = ItemCreate
    update_schema = ItemUpdate
    filters = ("name", "price", "owner_id")
    aliases = {"min_price": "price__gte", "max_price": "price__lte"}
    sort = ("name", "price")
    page = PageLimits(default=10, maximum=100)
    envelope = True


items = Items(db)
item_routes = items.router(prefix="/items", tags=["items"])
app.include_router(item_routes)


Username = Annotated[str, Field(min_length=1, max_length=50)]


class UserCreate(BaseModel):
    username: Username
    email: EmailStr
    is_active: bool = True
    balance: Money = Field(default=Decimal(0), ge=0)


class UserUpdate(BaseModel):
    username: Username | None = None
    email: EmailStr | None = None
    is_active: bool | None = None


class Users(Resource[User]):
    create_schema = UserCreate
    update_schema = UserUpdate
    filters = ("username", "email")
    include = {"items": Items, "wishes": Items}
    relations = ("wishes",)


users = Users(db)
app.include_router(users.router(prefix="/users", tags=["users"]))


class UserItems(Items):
    only = ("list",)
    envelope = False

    async def scope(self, user_id: int):
        await users.get(user_id)  # 404 where nobody has this id
        return Item.owner_id == user_id


their_items = UserItems(db)
app.include_router(
    their_items.router(prefix="/users/{user_id}/items", responses=responses(404))
)


@item_routes.post("/bulk/", status_code=201)
async def bulk_create_items(
    rows: Annotated[list[ItemCreate], Field(max_length=10_000)],
) -> dict[str, int]:
    await items.create_many(rows)
    return {"created": len(rows)}


SessionDep = Annotated[AsyncSession, Depends(db.session, scope="function")]


class Accounts(Repository[User]):
    pass


class ItemTransfer(BaseModel):
    from_user_id: int
    to_user_id: int


class Stock(Repository[Item]):
    async def transfer(self, item_id: int, order: ItemTransfer) -> Item:
        item = await self.get(item_id, lock=True)
        if item.owner_id != order.from_user_id:
            raise Conflict(f"item {item_id} does not belong to {order.from_user_id}")
        receiver = await Accounts(self.session).get(order.to_user_id)
        return await self.update(item_id, {"owner_id": receiver.id})


@item_routes.post("/{item_id}/transfer/", response_model=Items.read_schema)
async def transfer_item(item_id: int, order: ItemTransfer, session: SessionDep) -> Item:
    return await Stock(session).transfer(item_id, order)


class TransferCreate(BaseModel):
    from_user_id: int
    to_user_id: int
    amount: Money = Field(gt=0)


class TransferRead(TransferCreate):
    id: int
    created_at: Moment


class Ledger(Repository[Transfer]):
    async def transfer(self, order: TransferCreate, key: str | None) -> Transfer:
        """Move money; what is sent again with its key has moved once."""
        if order.from_user_id == order.to_user_id:
            raise Conflict("nobody transfers money to themselves")
        keys = (order.from_user_id, order.to_user_id)
        payer, payee = await Accounts(self.session).get_each(keys, lock=True)
        # Who comes second with a key has waited for the lock until here.
        if key is not None and (made := await self.first(Transfer.key == key)):
            return self._again(made, order)
        if payer.balance < order.amount:
            raise Conflict(f"user {payer.id} has less than {order.amount}")
        payer.balance -= order.amount
        payee.balance += order.amount
        return await self.create({**order.model_dump(), "key": key})

    def _again(self, made: Transfer, order: TransferCreate) -> Transfer:
        if TransferCreate.model_validate(made, from_attributes=True) != order:
            raise IdempotencyMismatch
        return made


class Transfers(Resource[Transfer]):
    read_schema = TransferRead
    read_only = True
    filters = ("from_user_id", "to_user_id")


transfer_routes = Transfers(db).router(prefix="/transfer", tags=["transfer"])
app.include_router(transfer_routes)

Key = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)
]


@transfer_routes.post("/", status_code=201, response_model=TransferRead)
async def transfer_funds(order: TransferCreate, key: Key = None) -> Transfer:
    return await db.run(lambda session: Ledger(session).transfer(order, key))
