"""Which way requests go through an app, and what is answered to them."""

import datetime as dt
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from catalogue import Items, client_of
from fastapi import Depends, FastAPI, Request, Response
from starlette.middleware import Middleware

from howdah import connect, problems
from howdah.memory import MemoryDatabase
from howdah.resource import ResourceRoute

NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


@dataclass
class Watch:
    """Pure ASGI middleware that knows which way a request has gone."""

    ways: list[str] = field(default_factory=list)

    def __call__(self, app):
        async def watched(scope, receive, send):
            try:
                await app(scope, receive, send)
            finally:
                if scope["type"] == "http":
                    self.ways.append(way(scope))

        return watched

    @property
    def last(self) -> str:
        return self.ways[-1]


def way(scope) -> str:
    """Return which way a request has gone: `early` where no router was asked."""
    if "howdah.thin" not in scope:
        return "whole"
    return "thin" if ROUTED in scope else "early"


ROUTED = "tests.routed"


def note_routing(app: FastAPI) -> FastAPI:
    """Let requests say whether FastAPI's own router has looked for their route."""
    router = app.router
    early = router.middleware_stack
    place, name = (early, "app") if hasattr(early, "_table") else (router, STACK)
    inner = getattr(place, name)

    async def noted(scope, receive, send):
        scope[ROUTED] = True
        await inner(scope, receive, send)

    setattr(place, name, noted)
    return app


STACK = "middleware_stack"


class WholeRoute(ResourceRoute):
    """A route that goes FastAPI's way, since it might do anything."""

    def get_route_handler(self):
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            return await handle(request)

        return handled


async def said(client, method, path, headers, content) -> Any:
    """Return all of an answer, but for what is another number each time."""
    response = await client.request(method, path, headers=headers, content=content)
    body = b"" if response.status_code == 500 else response.content
    raw = [it for it in response.headers.raw if body or it[0] != b"content-length"]
    return response.status_code, raw, body


class Asked(Items):
    filters = ("name", "price")
    sort = ("name", "price")


class Mishap(Exception):
    pass


class Log(list[Any]):
    """What dependencies have been called with, in their order."""

    def note(self, *what: Any) -> Any:
        self.append(what)
        return what[-1]


def app_of(kind, log, watch, attach) -> FastAPI:
    """Make an app whose requests go one way, and to which routes are attached."""
    memory = MemoryDatabase(now=lambda: NOON)
    app = FastAPI(middleware=[Middleware(watch)])
    problems.install(app)
    if kind == "early":
        connect(app, memory)
    note_routing(app)

    @app.exception_handler(Mishap)
    async def handle(request: Request, exc: Exception) -> Response:
        log.note("handled", request.url.path)
        return Response(status_code=418)

    attach(app, memory, WholeRoute if kind == "whole" else ResourceRoute)
    return app


async def all_said(app, log, asks) -> list[Any]:
    """Return what is answered to all requests, and what has been called for each."""
    answers = []
    async with client_of(app) as client:
        for ask in asks:
            answer = await said(client, *ask)
            answers.append((ask, answer, list(log)))
            log.clear()
    return answers


async def answers_of(kind, attach, asks) -> tuple[list[Any], list[str]]:
    """Return the answers of an app to all requests, and the ways that they went."""
    log, watch = Log(), Watch()
    app = app_of(kind, log, watch, partial(attach, log))
    return await all_said(app, log, asks), watch.ways


def on_the_router(make):
    """Return what attaches the dependencies that are made with a log."""

    def attach(log, app, memory, route_class):
        dependencies = [Depends(each) for each in make(log)]
        router = Asked(memory).router(
            prefix="/items", route_class=route_class, dependencies=dependencies
        )
        app.include_router(router)

    return attach
