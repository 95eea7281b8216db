"""Notes as a resource and as routes by hand, at paths that differ by a prefix alone."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import fastapi
import httpx
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlmodel import Field, SQLModel

from howdah import Resource, connect
from howdah.memory import MemoryDatabase
from howdah.store import Match

KINDS = ("/resource", "/by-hand")
IGNORED = {"content-length", "set-cookie", "retry-after", "x-ratelimit-reset"}

# A bug on purpose is nobody's to read.
logging.getLogger("howdah.problems").addHandler(logging.NullHandler())


class Note(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    text: str


class NewNote(BaseModel):
    text: str


class Bug(RuntimeError):
    pass


class Notes(Resource[Note]):
    async def delete(self, key: int, *, hard: bool, match: Match = None) -> None:
        await super().delete(key, hard=hard, match=match)
        raise Bug(f"note {key} is gone")


def by_hand(**options: Any) -> APIRouter:
    """Return what FastAPI alone would have in place of the resource's router."""
    router = APIRouter(**options)
    notes: dict[int, NewNote] = {}

    @router.post("/", status_code=201)
    async def create(note: NewNote) -> None:
        notes[len(notes) + 1] = note

    @router.get("/")
    async def list_() -> list[NewNote]:
        return list(notes.values())

    @router.get("/{note_id}")
    async def get(note_id: int) -> NewNote:
        if note_id not in notes:
            raise HTTPException(404)
        return notes[note_id]

    @router.delete("/{note_id}")
    async def delete(note_id: int) -> None:
        del notes[note_id]
        raise Bug(f"note {note_id} is gone")

    return router


async def signed_in(authorization: Annotated[str | None, Header()] = None) -> None:
    if authorization is None:
        raise HTTPException(401)


def make_app(**options: Any) -> FastAPI:
    """Return an app of both kinds, of the class that a tool may have put in place."""
    app = fastapi.FastAPI(**options)
    connect_notes(app)
    return app


def connect_notes(app: FastAPI) -> None:
    db = MemoryDatabase()
    connect(app, db)
    for prefix, router in zip(KINDS, (Notes(db).router, by_hand), strict=True):
        app.include_router(router(prefix="/notes"), prefix=prefix)
        guarded = router(prefix="/notes", dependencies=[Depends(signed_in)])
        app.include_router(guarded, prefix=f"{prefix}/guarded")
        inner = APIRouter(prefix="/v1")
        inner.include_router(router(prefix="/notes"))
        app.include_router(inner, prefix=f"{prefix}/api")


Ask = tuple[str, str, bytes, Mapping[str, str]]

TEXT = b'{"text": "a"}'
SIGNED = {"authorization": "Bearer of news"}

ASKED: Sequence[Ask] = (
    ("POST", "/notes/", TEXT, {}),
    ("GET", "/notes/", b"", {}),
    ("GET", "/notes/1", b"", {}),
    ("GET", "/notes/99", b"", {}),
    ("POST", "/notes/", b'{"text": 1}', {}),
    ("POST", "/notes/", b'{"text"', {}),
    ("DELETE", "/notes/1", b"", {}),
    ("POST", "/guarded/notes/", TEXT, {}),
    ("POST", "/guarded/notes/", TEXT, SIGNED),
    ("POST", "/api/v1/notes/", TEXT, {}),
    ("GET", "/api/v1/notes/99", b"", {}),
    ("PUT", "/notes/", TEXT, {}),
    ("GET", "/nothing", b"", {}),
)

# What a resource answers, and FastAPI alone redirects or refuses.
KINDLY_ASKED: Sequence[Ask] = (
    ("GET", "/notes", b"", {}),
    ("HEAD", "/api/v1/notes/2", b"", {}),
    ("GET", "/notes/?limit=none", b"", {}),
)


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test:8000"
    ) as client:
        yield client


async def said(client: httpx.AsyncClient, prefix: str, ask: Ask) -> Any:
    """Return all of an answer, but for what is another one each time."""
    method, path, content, headers = ask
    kind = {"content-type": "application/json"} if content else {}
    answer = await client.request(
        method, prefix + path, content=content, headers={**kind, **headers}
    )
    kept = [it for it in answer.headers.multi_items() if it[0] not in IGNORED]
    return answer.status_code, kept, "" if answer.is_server_error else answer.text


async def watched(app: FastAPI, take: Callable[[], Any]) -> dict[str, Any]:
    """Ask all; return what the clients got and what the tool then has to tell."""
    seen = {}
    async with client_of(app) as client:
        for prefix, asked, name in (
            (KINDS[0], ASKED, "resource"),
            (KINDS[1], ASKED, "by hand"),
            (KINDS[0], KINDLY_ASKED, "kindly"),
        ):
            answers = [await said(client, prefix, ask) for ask in asked]
            told = json.loads(json.dumps(take()).replace(prefix, ""))
            seen[name] = {"answers": answers, "told": told}
    return seen
