"""What is asked of the blog's rows beyond a resource. Nothing here commits."""

from decimal import Decimal

from models import Post, Transfer, User
from pydantic import BaseModel, Field
from sqlalchemy.orm import joinedload, selectinload

from howdah import Conflict, Money, Repository


class Slice(BaseModel, extra="forbid"):
    skip: int = Field(default=0, ge=0, le=100_000)
    limit: int = Field(default=100, ge=1, le=1000)


class UserSearch(Slice):
    search_term: str | None = None
    is_active: bool | None = None


class TransferCreate(BaseModel):
    from_id: int
    to_id: int
    amount: Money = Field(gt=0)


class UserRepository(Repository[User]):
    search_in = ("email", "username")

    async def get_by_email(self, email: str) -> User:
        return await self.get_first(User.email == email)

    async def get_active_users(self, page: Slice) -> list[User]:
        return await self.list(User.is_active.is_(True), **dict(page))

    async def search_users(self, asked: UserSearch) -> list[User]:
        found = [self.matching(asked.search_term)]
        if asked.is_active is not None:
            found.append(User.is_active == asked.is_active)
        page = {"skip": asked.skip, "limit": asked.limit}
        return await self.list(*found, sort="-created_at,-id", **page)

    async def get_user_with_posts(self, user_id: int) -> User:
        return await self.get(user_id, options=[selectinload(User.posts)])

    def debit_account(self, user: User, amount: Decimal) -> None:
        if user.credit < amount:
            raise Conflict(f"user {user.id} has less than {amount}")
        user.credit -= amount

    def credit_account(self, user: User, amount: Decimal) -> None:
        user.credit += amount


class PostRepository(Repository[Post]):
    async def get_posts_with_authors(self, page: Slice) -> list[Post]:
        author = joinedload(Post.author)
        return await self.list(sort="-created_at,-id", options=[author], **dict(page))


class TransferRepository(Repository[Transfer]):
    async def transfer_operation(self, order: TransferCreate) -> Transfer:
        """Debit one account, credit another and log it: all of it or nothing."""
        users = UserRepository(self.session)
        keys = (order.from_id, order.to_id)
        payer, payee = await users.get_each(keys, lock=True)
        users.debit_account(payer, order.amount)
        users.credit_account(payee, order.amount)
        return await self.create(order)
