"""FastAPI Users: who has signed in with a JWT is asked by a router, and by a scope."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, IntegerIDMixin, schemas
from fastapi_users.authentication import (
    AuthenticationBackend,
    BearerTransport,
    JWTStrategy,
)
from fastapi_users.db import BaseUserDatabase
from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlmodel import Field, SQLModel

SECRET = "that is longer than thirty-two bytes"
PASSWORD = "correct horse"


@dataclass
class User:
    id: int
    email: str
    hashed_password: str
    is_active: bool = True
    is_superuser: bool = False
    is_verified: bool = False


class UserCreate(schemas.BaseUserCreate):
    pass


class UserRead(schemas.BaseUser[int]):
    pass


class Users(BaseUserDatabase[User, int]):
    """Users, kept as long as the process."""

    def __init__(self) -> None:
        self.known: dict[int, User] = {}

    async def get(self, id: int) -> User | None:  # noqa: A002 - its name there
        return self.known.get(id)

    async def get_by_email(self, email: str) -> User | None:
        return next((it for it in self.known.values() if it.email == email), None)

    async def create(self, create_dict: dict[str, Any]) -> User:
        user = User(id=len(self.known) + 1, **create_dict)
        self.known[user.id] = user
        return user


class UserManager(IntegerIDMixin, BaseUserManager[User, int]):
    pass


users = Users()
cheap_hash = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)
cheap = PasswordHelper(PasswordHash((cheap_hash,)))


async def returned_manager() -> UserManager:
    return UserManager(users, cheap)


async def yielded_manager() -> AsyncIterator[UserManager]:
    """As the documentation of FastAPI Users has it."""
    yield UserManager(users, cheap)


def strategy() -> JWTStrategy[User, int]:
    return JWTStrategy(SECRET, lifetime_seconds=3600)


backend = AuthenticationBackend("jwt", BearerTransport("login"), strategy)


class Note(SQLModel, table=True):
    __tablename__ = "owned_notes"

    id: int | None = Field(default=None, primary_key=True)
    text: str
    owner_id: int


async def seen() -> Any:
    return {
        "returned": await _seen(returned_manager),
        "yielded": await _seen(yielded_manager),
    }


def _app(manager: Any) -> FastAPI:
    """Return an app of notes whose owner a scope asks, and a router."""
    from howdah import Resource, connect
    from howdah.memory import MemoryDatabase

    auth = FastAPIUsers[User, int](manager, [backend])
    signed_in = auth.current_user(active=True)
    boss = auth.current_user(active=True, superuser=True)

    class Notes(Resource[Note]):
        server_owned = ("owner_id",)

        def scope(self, user: Annotated[User, Depends(signed_in)]) -> Any:
            return Note.owner_id == user.id

    class AllNotes(Resource[Note]):
        pass

    app = FastAPI()
    db = MemoryDatabase()
    connect(app, db)
    app.include_router(auth.get_auth_router(backend))
    app.include_router(auth.get_register_router(UserRead, UserCreate))
    app.include_router(Notes(db).router(prefix="/scoped"))
    everything = AllNotes(db)
    for prefix, user in (("/guarded", signed_in), ("/boss", boss)):
        router = everything.router(prefix=prefix, dependencies=[Depends(user)])
        app.include_router(router)
        app.include_router(_by_hand(user), prefix=f"/by-hand{prefix}")
    return app


def _by_hand(user: Any) -> APIRouter:
    router = APIRouter(dependencies=[Depends(user)])

    @router.get("/")
    async def list_() -> list[Note]:
        return []

    return router


async def _seen(manager: Any) -> Any:
    from tools.notes import client_of

    users.known.clear()
    async with client_of(_app(manager)) as client:
        tokens = {name: await _signed_in(client, name) for name in NAMES}
        users.known[3].is_active = False
        users.known[4].is_superuser = True
        return [[*ask, *await _said(client, tokens, *ask)] for ask in ASKED]


NAMES = ("ann", "bob", "gone", "boss")

ASKED = (
    ("POST", "/scoped/", ""),
    ("POST", "/scoped/", "ann"),
    ("GET", "/scoped/", ""),
    ("GET", "/scoped/", "forged"),
    ("GET", "/scoped/", "gone"),
    ("GET", "/scoped/", "ann"),
    ("GET", "/scoped/1", "ann"),
    ("GET", "/scoped/", "bob"),
    ("GET", "/scoped/1", "bob"),
    ("GET", "/scoped/1", ""),
    ("DELETE", "/scoped/1", "bob"),
    ("GET", "/guarded/", ""),
    ("GET", "/by-hand/guarded/", ""),
    ("GET", "/guarded/", "gone"),
    ("GET", "/by-hand/guarded/", "gone"),
    ("GET", "/guarded/", "bob"),
    ("GET", "/by-hand/guarded/", "bob"),
    ("GET", "/boss/", "bob"),
    ("GET", "/by-hand/boss/", "bob"),
    ("GET", "/boss/", "boss"),
    ("GET", "/by-hand/boss/", "boss"),
)


async def _signed_in(client: Any, name: str) -> str:
    email = f"{name}@example.org"
    made = await client.post("/register", json={"email": email, "password": PASSWORD})
    assert made.status_code == 201, made.text
    form = {"username": email, "password": PASSWORD}
    return (await client.post("/login", data=form)).json()["access_token"]


async def _said(client: Any, tokens: Any, method: str, path: str, name: str) -> Any:
    token = f"Bearer {tokens.get(name, name)}"
    headers = {"authorization": token} if name else {}
    note = {"text": "hers"} if method == "POST" else None
    answer = await client.request(method, path, json=note, headers=headers)
    return answer.status_code, answer.text
