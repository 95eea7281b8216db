"""Which way requests go through an app, and what is answered to them."""

from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response

from howdah.resource import ResourceRoute


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
    """Say how far into FastAPI a request has come."""
    if "howdah.thin" not in scope:
        return "whole"
    return "thin" if "fastapi_middleware_astack" in scope else "early"


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
