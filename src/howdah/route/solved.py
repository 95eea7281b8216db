"""The thin way of a route that has dependencies, all of them of kinds that are known.

Whatever can be said of a request before the first dependency runs is found out before,
and left to FastAPI. From there on it is answered here: nothing is called twice.
"""

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from fastapi import Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import FastAPIError, RequestValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from howdah.route.heard import Heard, is_short_json
from howdah.route.late import Endpoint
from howdah.route.strict import StrictRequest
from howdah.route.texts import check_address, read_json
from howdah.route.tree import Solving, Tree

__all__ = ("Solved",)


@dataclass(slots=True)
class _Asked:
    """A request of which nothing but its dependencies can say anything more."""

    request: StrictRequest
    body: bytes = b""
    said: Any = None
    """What the body says."""
    quick: Any = None
    """What the endpoint takes for it, where that is known already."""


class Solved:
    """Calls the dependencies of an endpoint, and then the endpoint."""

    def __init__(self, place: Any, tree: Tree, largest_body: int | None) -> None:
        dependant: Dependant = place.dependant
        assert isinstance(dependant.call, Endpoint)  # noqa: S101 - for types
        self._run = dependant.call.run
        # What a dependency is shown of a body, it may change.
        self._quick = None if tree.shows_requests else dependant.call.quick
        self._path = dependant.path
        self._body = next(iter(dependant.body_params), None)
        self.has_body = self._body is not None
        self._tree = tree
        self._provider = place.dependency_overrides_provider
        self._largest_body = largest_body

    @classmethod
    def of(cls, place: Any, largest_body: int | None) -> "Solved | None":
        """Return the way at a place, None where FastAPI's has to be gone."""
        # Where there are several bodies, a dependency has one of them.
        body = next(iter(place.dependant.body_params), None)
        tree = Tree.of(place.dependant) if place.body_field is body else None
        return None if tree is None else cls(place, tree, largest_body)

    def read(self, scope: Scope, _: Mapping[str, Any], heard: Heard) -> _Asked | None:
        """Return what is asked beside a body, or None, see `Way`."""
        check_address(scope)
        provider, most = self._provider, self._largest_body
        if (provider and provider.dependency_overrides) or not self._tree.holds():
            return None
        return _Asked(StrictRequest(scope, heard, largest_body=most))

    async def read_body(
        self, asked: _Asked, scope: Scope, heard: Heard
    ) -> _Asked | None:
        """Return what is asked, or None, see `Way`."""
        most = self._largest_body
        body = await heard.body(most) if is_short_json(scope, most) else None
        return await self._with_body(asked, body) if body else None

    async def _with_body(self, asked: _Asked, body: bytes) -> _Asked | None:
        asked.body = body
        if self._quick is not None:
            asked.quick = self._quick(body)
        if asked.quick is None:
            try:
                asked.said = read_json(body)
            except json.JSONDecodeError:
                return None
        if self._tree.shows_requests:
            await asked.request.know(asked.said)
        return asked

    async def answer(self, asked: _Asked) -> ASGIApp:
        """Return what answers, all dependencies called."""
        if self._tree.shows_requests:
            _look(asked.request)
        if self._tree.is_closed:
            return await self._solve(asked)
        return await self._solve_between_stacks(asked)

    async def _solve_between_stacks(self, asked: _Asked) -> ASGIApp:
        """Solve where code that is not known may look for FastAPI's exit stacks."""
        scope, stack = asked.request.scope, AsyncExitStack()
        scope["fastapi_inner_astack"] = stack
        async with AsyncExitStack() as failing:
            failing.push_async_exit(stack)
            async with AsyncExitStack() as inner:
                scope["fastapi_function_astack"] = inner
                response = await self._solve(asked)
            failing.pop_all()
            return _Stacked(response, stack)
        raise FastAPIError("what a dependency has put on an exit stack hides an error")

    async def _solve(self, asked: _Asked) -> Response:
        solving = Solving(asked.request)
        values = await self._tree.values(solving)
        if self._body is not None:
            values[self._body.name] = _valid(self._body, asked, solving.faults)
        if solving.faults:
            raise self._invalid(asked, solving.faults)
        return await self._run(**values)

    def _invalid(self, asked: _Asked, faults: list[Any]) -> RequestValidationError:
        """Return the error that FastAPI would raise."""
        request, quick = asked.request, asked.quick is not None
        root = request.scope.get("root_path", "").rstrip("/")
        return RequestValidationError(
            faults,
            body=read_json(asked.body) if quick else asked.said,
            endpoint_ctx={"path": f"{request.method} {root}{self._path}"},
        )


def _valid(field: Any, asked: _Asked, faults: list[Any]) -> Any:
    if asked.quick is not None:
        return asked.quick
    value, wrong = field.validate(asked.said, {}, loc=("body",))
    faults.extend(wrong)
    return value


class _Stacked:
    """A response that is sent before a stack is closed."""

    def __init__(self, response: ASGIApp, stack: AsyncExitStack) -> None:
        self._response = response
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and close the stack whatever happens."""
        async with self._stack:
            await self._response(scope, receive, send)


def _look(request: StrictRequest) -> None:
    """Read what FastAPI reads before any dependency could change it."""
    request.query_params, request.headers, request.cookies  # noqa: B018 - they are kept
