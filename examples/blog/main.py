"""A blog: authors, their posts, and the credit that they give each other.

`make example NAME=blog` serves it; docs/how-to/blog.md builds it step by step.
"""

from typing import Annotated

from fastapi import Depends, FastAPI, Query
from models import Post, Transfer, User
from pydantic import Field
from repositories import (
    PostRepository,
    Slice,
    TransferCreate,
    TransferRepository,
    UserRepository,
    UserSearch,
)
from sqlalchemy.ext.asyncio import AsyncSession

from howdah import Database, Resource, connect

db = Database()
app = FastAPI(title="Blog")
connect(app, db)


class Posts(Resource[Post]):
    filters = ("author_id", "published", "title")
    sort = ("title", "created_at")


class Users(Resource[User]):
    server_owned = ("credit",)
    filters = ("username", "email")
    sort = ("username", "created_at")
    include = {"posts": Posts}


class Transfers(Resource[Transfer]):
    read_only = True
    filters = ("from_id", "to_id")


class UserWithPosts(Users.read_schema):
    posts: list[Posts.read_schema]


class PostWithAuthor(Posts.read_schema):
    author: Users.read_schema


users = Users(db).router(prefix="/users", tags=["users"])
posts = Posts(db).router(prefix="/posts", tags=["posts"])
transfers = Transfers(db).router(prefix="/transfers", tags=["transfers"])

SessionDep = Annotated[AsyncSession, Depends(db.session, scope="function")]
Rows = Annotated[list[Users.create_schema], Field(max_length=1000)]


@users.get("/search", response_model=list[Users.read_schema])
async def search_users(asked: Annotated[UserSearch, Query()], session: SessionDep):
    return await UserRepository(session).search_users(asked)


@users.get("/active", response_model=list[Users.read_schema])
async def get_active_users(page: Annotated[Slice, Query()], session: SessionDep):
    return await UserRepository(session).get_active_users(page)


@users.get("/by-email/{email}", response_model=Users.read_schema)
async def get_by_email(email: str, session: SessionDep):
    return await UserRepository(session).get_by_email(email)


@users.get("/{user_id}/with-posts", response_model=UserWithPosts)
async def get_user_with_posts(user_id: int, session: SessionDep):
    return await UserRepository(session).get_user_with_posts(user_id)


@users.post("/import", response_model=list[Users.read_schema | None])
async def create_user_with_rollback(rows: Rows, session: SessionDep):
    """Create users in one transaction; who is taken is null, and the rest goes on."""
    repository = UserRepository(session)
    return [await repository.create_unless_taken(row) for row in rows]


@posts.get("/with-authors", response_model=list[PostWithAuthor])
async def get_posts_with_authors(page: Annotated[Slice, Query()], session: SessionDep):
    return await PostRepository(session).get_posts_with_authors(page)


@transfers.post("/", status_code=201, response_model=Transfers.read_schema)
async def transfer_operation(order: TransferCreate):
    return await db.run(lambda it: TransferRepository(it).transfer_operation(order))


for router in (users, posts, transfers):
    app.include_router(router)
