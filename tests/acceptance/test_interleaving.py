"""Many users at once in one app, some of whom hang up: nobody meets anybody else.

`INTERLEAVED_REQUESTS=40000` asks each store for that many requests, and
`INTERLEAVED_SEED=...` again for those of a run that failed.
"""

import asyncio
import json
import os
import random
import re
import time
from collections import defaultdict
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated
from uuid import uuid4

import httpx
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.middleware import Middleware

from howdah import Database, PageLimits, Resource, Settings, connect
from howdah.resource import Change

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(1200)]

USERS = 50
REQUESTS = int(os.environ.get("INTERLEAVED_REQUESTS", "1000"))
# FastAPI's own way is gone for comparison: it takes longer, and is FastAPI's.
SHARES = {"direct": 1, "fastapi": 6}
HUNG_UP = 0.1
PATIENCE = 60  # seconds, for one answer
ENOUGH = 12  # rows of a user, from which on more are deleted than made
MARK = re.compile(r"user~\d\d~")
# What a search of all notes may say.
ALL = ({"q": "user~"}, {"text__contains": "~"}, {"q": "~", "limit": 900}, {})


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "interleaved"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    text: Mapped[str]


class NoteWrite(BaseModel):
    text: str = Field(max_length=60)


class NoteRead(BaseModel):
    id: int
    owner: str
    text: str


class Refused(Exception):
    """Raised where a body is not wanted, by a dependency or a hook."""


caller: ContextVar[str | None] = ContextVar("caller", default=None)


async def turns(most: int = 4) -> None:
    """Let others go first, now and then."""
    for _ in range(random.randrange(most)):
        await asyncio.sleep(0)


async def current_user(
    request: Request,
    response: Response,
    user: Annotated[str | None, Header()] = None,
    password: Annotated[str | None, Header()] = None,
) -> str:
    """Leave word of the caller wherever something could be left."""
    if user is None:
        raise HTTPException(401, "who are you?")
    await turns()
    assert caller.get() is None
    assert not hasattr(request.state, "user")
    assert not hasattr(request, "kept")
    caller.set(user)
    request.state.user = request.kept = user
    response.headers["x-user"] = user
    response.set_cookie("user", user)
    await turns()
    if password != user:
        raise Refused
    return user


CurrentUser = Annotated[str, Depends(current_user)]


async def is_known(request: Request, user: CurrentUser) -> None:
    """Find what `current_user` has left, some turns later."""
    await turns()
    assert_left(request, user)


def assert_left(request: Request, user: str) -> None:
    left = (request.headers["user"], caller.get(), request.state.user, request.kept)
    assert set(left) == {user}


async def echo(request: Request, _: Exception) -> Response:
    """Answer with what was sent, and what is known of who has sent it."""
    await turns()
    body = await request.body()
    await turns()
    said = {
        "header": request.headers.get("user"),
        "caller": caller.get(),
        "state": getattr(request.state, "user", None),
        "kept": getattr(request, "kept", None),
        "body": body.decode(),
    }
    return JSONResponse(said, status_code=418)


class Plain(Resource[Note]):
    """The notes of who calls."""

    create_schema = update_schema = NoteWrite
    read_schema = NoteRead
    server_owned = ("owner",)
    search = filters = ("text",)
    page = PageLimits(default=1000, maximum=1000)

    def scope(self, user: CurrentUser):
        return Note.owner == user


class Noted(Plain):
    """The same, with actions that take their time, and hooks that note who writes what.

    Between the caller's scope and the statement others have their turn.
    """

    written: defaultdict[str, set[str]]

    async def get(self, key, **how):
        await turns()
        return await super().get(key, **how)

    async def list(self, query, page):
        await turns()
        return await super().list(query, page)

    async def create(self, values, **how):
        await turns()
        return await super().create(values, **how)

    async def update(self, key, values, **how):
        await turns()
        return await super().update(key, values, **how)

    async def scope(
        self, request: Request, user: CurrentUser, _: Annotated[None, Depends(is_known)]
    ):
        await turns()
        assert_left(request, user)
        return Note.owner == user

    async def before_write(self, change: Change, request: Request, user: CurrentUser):
        await turns()
        assert_left(request, user)
        assert marks(str(change.values)) <= {user}
        if "refuse" in str(change.values):
            raise Refused

    async def after_write(self, change: Change, request: Request, user: CurrentUser):
        # Long enough for some to hang up behind the commit.
        await turns(20)
        assert_left(request, user)
        assert {row["owner"] for row in change.rows} <= {user}
        self.written[user].update(row["text"] for row in change.rows)


def marks(text: str) -> set[str]:
    """Return all users of whom a text has anything."""
    return set(MARK.findall(text))


@pytest.fixture(params=["direct", "fastapi"])
def way(request, monkeypatch):
    monkeypatch.delenv("HOWDAH_DISPATCH", raising=False)
    if request.param == "fastapi":
        monkeypatch.setenv("HOWDAH_DISPATCH", "fastapi")
    return request.param


@pytest.fixture(params=["postgresql", "sqlite"])
async def db(request, tmp_path):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/interleaved.db"
    else:
        url = request.getfixturevalue("database_url")
    # Who waits for others on a slow machine is not to be refused.
    patient = {"db_pool_timeout": PATIENCE, "db_lock_timeout": PATIENCE}
    async with Database(Settings(database_url=url, **patient)) as db:
        async with db.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield db


class Ways:
    """Count the requests that went the direct way."""

    direct = 0

    def __call__(self, app):
        async def watched(scope, receive, send):
            try:
                await app(scope, receive, send)
            finally:
                self.direct += "howdah.thin" in scope

        return watched


@dataclass
class House:
    """One app, and what is known of it from outside."""

    db: Database
    seed: str
    ways: Ways = field(default_factory=Ways)

    def __post_init__(self):
        self.written: defaultdict[str, set[str]] = defaultdict(set)
        self.app = FastAPI(middleware=[Middleware(self.ways)])
        connect(self.app, self.db)
        for error in (Refused, RequestValidationError):
            self.app.add_exception_handler(error, echo)
        noted = Noted(self.db)
        noted.written = self.written
        self.app.include_router(noted.router(prefix="/noted"))
        self.app.include_router(Plain(self.db).router(prefix="/plain"))
        self.users = [User(self, number) for number in range(USERS)]

    async def ask(self, requests: int) -> None:
        """Let all users ask at once; the first who is told wrong things ends it."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            for user in self.users:
                await stack.enter_async_context(user.client)
                group.create_task(user.ask_all(requests // USERS))

    async def rows(self) -> list[tuple[int, str, str]]:
        async with self.db.engine.connect() as connection:
            found = await connection.execute(select(Note.id, Note.owner, Note.text))
            return [tuple(row) for row in found]


@dataclass
class Kept:
    """A row that is there, as far as its owner can know."""

    text: str
    perhaps: set[str] = field(default_factory=set)
    """What it has become if changes that nobody waited for were made all the same."""
    perhaps_gone: bool = False

    def may_be(self, text: str | None) -> bool:
        """Say whether it can have this text; None stands for no row."""
        return self.perhaps_gone if text is None else text in {self.text, *self.perhaps}


class User:
    """Somebody who asks for one thing after the other, and knows what to expect."""

    def __init__(self, house: House, number: int) -> None:
        self.mark = f"user~{number:02}~"
        self.rows: dict[int, Kept] = {}
        self.perhaps: list[set[str]] = []
        """Rows that have been made together, if they have been made at all."""
        self.written: set[str] = set()
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(house.app),
            base_url="http://test",
            headers={"user": self.mark, "password": self.mark},
            trust_env=False,
        )
        self._house = house
        self._random = random.Random(f"{house.seed} {number}")
        self._count = 0
        self._took = 0.0
        self._prefix = "/noted"

    async def ask_all(self, times: int) -> None:
        for _ in range(times):
            self._prefix = self._random.choice(("/noted", "/plain"))
            await self._something()()
            await turns(8)

    def _something(self):
        writes = [self.create, self.batch]
        if self.rows:
            writes = [*writes, self.update, self.delete, self.update_batch]
        if len(self.rows) > ENOUGH:
            writes = [self.update, self.delete, self.delete_batch]
        reads = [self.list, self.search, self.count]
        owned = [self.get] if self.rows else []
        others = [self.meddle] * 2 if self._keys_of_others() else []
        wrong = [self.send_wrong_body, self.be_refused, self.log_in_wrong]
        return self._random.choice([*writes, *writes, *reads, *owned, *others, *wrong])

    async def create(self) -> None:
        text = self._new()
        answer = await self._ask("POST", "/", {"text": text})
        if answer is None:
            self.perhaps.append({text})
        else:
            self._made([assert_success(answer, 201)], [text])

    async def batch(self) -> None:
        texts = [self._new() for _ in range(self._random.randrange(1, 4))]
        answer = await self._ask("POST", "/batch", [{"text": text} for text in texts])
        if answer is None:
            self.perhaps.append(set(texts))
        else:
            self._made(assert_success(answer, 201), texts)

    def _made(self, rows, texts) -> None:
        assert [row["text"] for row in rows] == texts
        self.rows |= {row["id"]: Kept(row["text"]) for row in rows}
        self._note(texts)

    async def get(self) -> None:
        key = self._own()
        answer = await self._ask("GET", f"/{key}")
        if answer is not None:
            self._assert_seen(key, answer)

    def _assert_seen(self, key, answer) -> None:
        text = None if answer.status_code == 404 else assert_success(answer)["text"]
        assert self.rows[key].may_be(text), (key, text, self.rows[key])

    async def list(self) -> None:
        answer = await self._ask("GET", "/")
        if answer is not None:
            self.assert_all_seen(assert_success(answer))

    async def search(self) -> None:
        words = self._random.choice(ALL)
        answer = await self._ask("POST", "/search", words)
        if answer is not None:
            self.assert_all_seen(assert_success(answer))

    async def count(self) -> None:
        answer = await self._ask("GET", "/count")
        if answer is not None:
            least = sum(not row.perhaps_gone for row in self.rows.values())
            most = len(self.rows) + sum(map(len, self.perhaps))
            assert least <= assert_success(answer)["total"] <= most

    def assert_all_seen(self, rows) -> None:
        """Find in these rows all that there are for sure, and none that cannot be."""
        found = {row["id"]: row["text"] for row in rows}
        for key, kept in self.rows.items():
            assert kept.may_be(found.pop(key, None)), (key, kept)
        rest = set(found.values())
        assert len(rest) == len(found)
        assert rest <= set().union(*self.perhaps)
        for together in self.perhaps:
            assert together & rest in (together, set())

    async def update(self) -> None:
        key, text = self._own(), self._new()
        method = self._random.choice(("PUT", "PATCH"))
        answer = await self._ask(method, f"/{key}", {"text": text})
        self._changed({key: text}, answer)

    async def update_batch(self) -> None:
        changes = {key: self._new() for key in self._some()}
        rows = [{"id": key, "text": text} for key, text in changes.items()]
        answer = await self._ask("PATCH", "/batch", rows)
        self._changed(changes, answer)

    def _changed(self, changes, answer) -> None:
        if answer is None:
            for key, text in changes.items():
                self.rows[key].perhaps.add(text)
        elif not self._are_perhaps_gone(changes, answer):
            assert_success(answer)
            for key, text in changes.items():
                self.rows[key].text = text
            self._note(changes.values())

    async def delete(self) -> None:
        key = self._own()
        self._deleted([key], await self._ask("DELETE", f"/{key}"))

    async def delete_batch(self) -> None:
        keys = self._some()
        self._deleted(keys, await self._ask("DELETE", "/batch", keys))

    def _deleted(self, keys, answer) -> None:
        if answer is None:
            for key in keys:
                self.rows[key].perhaps_gone = True
        elif not self._are_perhaps_gone(keys, answer):
            assert_success(answer, 204)
            for key in keys:
                del self.rows[key]

    def _are_perhaps_gone(self, keys, answer) -> bool:
        """Say whether there was nothing to write, where that can be."""
        gone = any(self.rows[key].perhaps_gone for key in keys)
        return gone and answer.status_code == 404

    async def meddle(self) -> None:
        """Ask for a row of somebody else, alone or between those of one's own."""
        key, text = self._random.choice(self._keys_of_others()), {"text": self._new()}
        method, path, body = self._random.choice(
            (
                ("GET", f"/{key}", None),
                ("PUT", f"/{key}", text),
                ("PATCH", f"/{key}", text),
                ("DELETE", f"/{key}", None),
                ("PATCH", "/batch", [*self._same(), {"id": key, **text}]),
                ("DELETE", "/batch", [key]),
            )
        )
        answer = await self._ask(method, path, body)
        assert answer is None or answer.status_code == 404, answer.text

    def _same(self):
        """Return changes of own rows that would leave them as they are."""
        some = self._some() if self.rows else []
        return [{"id": key, "text": self.rows[key].text} for key in some]

    async def send_wrong_body(self) -> None:
        body = self._random.choice(
            (
                {"text": self._new() * 20},
                {"txet": self._new()},
                [self._new()],
                f'{{"text": "{self._new()}"',
            )
        )
        sent = body if isinstance(body, str) else json.dumps(body)
        self._assert_echoed(sent, await self._ask("POST", "/", sent), may_be_early=True)

    async def be_refused(self) -> None:
        """Send what a hook refuses."""
        self._prefix = "/noted"
        sent = json.dumps({"text": f"refuse {self._new()}"})
        self._assert_echoed(sent, await self._ask("POST", "/", sent))

    async def log_in_wrong(self) -> None:
        sent = json.dumps({"text": self._new()})
        if self._random.random() < 0.5:
            answer = await self._ask("POST", "/", sent, password="wrong")
            self._assert_echoed(sent, answer)
        else:
            answer = await self._ask("GET", "/", user=None)
            if answer is not None:
                assert answer.status_code == 401
                assert not marks(everything_in(answer))

    def _assert_echoed(self, sent, answer, *, may_be_early=False) -> None:
        if answer is None:
            return
        assert answer.status_code == 418, answer.text
        said = answer.json()
        assert said.pop("body") == sent
        users = set(said.values())
        # What is no JSON is found out before dependencies are asked.
        early = may_be_early and said["caller"] is None
        assert users == ({self.mark, None} if early else {self.mark}), said

    async def _ask(self, method, path, body=None, **headers) -> httpx.Response | None:
        """Return the answer, None where the user has hung up before it came."""
        begun = time.monotonic()
        asking = asyncio.create_task(
            self.client.send(self._request(method, path, body, headers))
        )
        try:
            if self._random.random() < HUNG_UP:
                await self._hang_up(asking)
            done, _ = await asyncio.wait({asking}, timeout=PATIENCE)
        finally:
            asking.cancel()
            await asyncio.wait({asking})
        assert done, f"{method} {path} is not answered"
        if asking.cancelled():
            return None
        self._took = time.monotonic() - begun
        return self._checked(asking.result())

    def _request(self, method, path, body, headers) -> httpx.Request:
        content = body if isinstance(body, str | None) else json.dumps(body)
        announced = {"content-type": "application/json"} if content else {}
        request = self.client.build_request(
            method, f"{self._prefix}{path}", content=content, headers=announced
        )
        for name, value in headers.items():
            request.headers.pop(name)
            if value is not None:
                request.headers[name] = value
        return request

    async def _hang_up(self, asking) -> None:
        """End a request anywhere between its beginning and its end."""
        if self._random.random() < 0.3:
            await turns(30)
        else:
            await asyncio.sleep(self._random.random() * self._took)
        asking.cancel()

    def _checked(self, answer):
        """Find nobody else in an answer, whatever it says."""
        asked = answer.request
        assert marks(everything_in(answer)) <= {self.mark}, (asked.method, asked.url)
        if answer.is_success:
            assert answer.headers.get_list("x-user") == [self.mark]
            assert answer.headers.get_list("set-cookie") == [
                f"user={self.mark}; Path=/; SameSite=lax"
            ]
        return answer

    def _note(self, texts) -> None:
        if self._prefix == "/noted":
            self.written.update(texts)

    def _new(self) -> str:
        self._count += 1
        return f"{self.mark} {self._count}"

    def _own(self) -> int:
        return self._random.choice(list(self.rows))

    def _some(self):
        known = list(self.rows)
        return self._random.sample(known, min(len(known), 3))

    def _keys_of_others(self):
        return [
            key for user in self._house.users if user is not self for key in user.rows
        ]


def everything_in(answer: httpx.Response) -> str:
    return f"{answer.headers.raw} {answer.text}"


def assert_success(answer: httpx.Response, status: int = 200):
    assert answer.status_code == status, (answer.request.url, answer.text)
    return answer.json() if answer.content else None


async def test_users_that_ask_at_once_meet_nobody_else(way, db):
    seed = os.environ.get("INTERLEAVED_SEED", uuid4().hex[:8])
    house = House(db, seed)

    with telling(f"INTERLEAVED_SEED={seed}"):
        await house.ask(REQUESTS // SHARES[way])

        await assert_all_is_given_back(db)
        await assert_rows_are_as_users_know(house)
        for user in house.users:
            assert user.written <= house.written[user.mark]
        assert bool(house.ways.direct) == (way == "direct")


@contextmanager
def telling(text):
    """Say something beside whatever fails."""
    try:
        yield
    except BaseException as exc:
        exc.add_note(text)
        raise


async def assert_all_is_given_back(db):
    for _ in range(500):
        if db.busy == 0:
            break
        await asyncio.sleep(0.01)
    health = await db.health()
    assert (health.ok, health.busy) == (True, 0)


async def assert_rows_are_as_users_know(house):
    rows = await house.rows()
    assert {owner for _, owner, _ in rows} <= {user.mark for user in house.users}
    assert all(marks(text) == {owner} for _, owner, text in rows)
    for user in house.users:
        user.assert_all_seen(
            {"id": key, "text": text} for key, owner, text in rows if owner == user.mark
        )
