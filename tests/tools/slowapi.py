"""SlowAPI: its middleware and a dependency, each with a limit of two requests a day."""

from typing import Any

from fastapi import Depends, FastAPI, Request
from slowapi import Limiter
from slowapi.middleware import SlowAPIASGIMiddleware, SlowAPIMiddleware
from slowapi.util import get_remote_address
from starlette.middleware import Middleware

MIDDLEWARE = (SlowAPIMiddleware, SlowAPIASGIMiddleware)


async def seen() -> Any:
    return {each.__name__: await _seen(each) for each in MIDDLEWARE}


async def _seen(middleware: Any) -> Any:
    from tools.notes import KINDS, client_of, said

    app = _limited(middleware)
    asked = {}
    async with client_of(app) as client:
        for kind in (f"{it}{place}" for place in PLACES for it in KINDS):
            asks = [("GET", "/notes/", b"", {})] * 3 + [("GET", "/notes/1", b"", {})]
            asked[kind] = [await said(client, kind, ask) for ask in asks]
    return asked


PLACES = ("", "/included", "/depending")


def _limited(middleware: Any) -> FastAPI:
    """Return an app with each kind of notes straight in it, in routers, and limited."""
    from tools.notes import KINDS, Notes, by_hand

    from howdah import connect
    from howdah.memory import MemoryDatabase

    app = FastAPI(middleware=[Middleware(middleware)])
    app.state.limiter = Limiter(
        get_remote_address, default_limits=["2/day"], headers_enabled=True
    )
    db = MemoryDatabase()
    connect(app, db)

    own = Limiter(get_remote_address)

    @own.limit("2/day")
    async def limited(request: Request) -> None:
        pass

    for kind, router in zip(KINDS, (Notes(db).router, by_hand), strict=True):
        app.router.routes.extend(router(prefix=f"{kind}/notes").routes)
        app.include_router(router(prefix="/notes"), prefix=f"{kind}/included")
        app.include_router(
            router(prefix="/notes", dependencies=[Depends(limited)]),
            prefix=f"{kind}/depending",
        )
    return app
