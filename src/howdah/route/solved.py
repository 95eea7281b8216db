"""The thin way of a route: its dependencies solved, its endpoint called.

Whatever can be said of a request before the first dependency runs is found out before,
and left to FastAPI. From there on it is answered here: nothing is called twice. One
request is shown to all, to dependencies, the endpoint and handlers of exceptions.
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
from howdah.route.internals import handle_error
from howdah.route.late import Endpoint, merged
from howdah.route.strict import StrictRequest
from howdah.route.texts import check_address, read_json
from howdah.route.tree import Solving, Tree

__all__ = ("THIN", "Solved")

THIN = "howdah.thin"
"""Where a scope says that its request went the thin way."""


class Solved:
    """Calls the dependencies of an endpoint, and then the endpoint."""

    def __init__(
        self, made: Mapping[str, Any], tree: Tree, largest_body: int | None
    ) -> None:
        dependant: Dependant = made["dependant"]
        assert isinstance(dependant.call, Endpoint)  # noqa: S101 - for types
        self._run = dependant.call.run
        # What a dependency is shown of a body, it may change.
        self._quick = None if tree.shows_requests else dependant.call.quick
        self._path = dependant.path
        self._body = next(iter(dependant.body_params), None)
        self._tree = tree
        self.is_closed = tree.is_closed
        """Whether no code but FastAPI's and the endpoint's gets the request."""
        self._solved = self._solve if tree.is_closed else self._solve_between_stacks
        self._holds = tree.holds if tree.root.below else tree.root.holds
        self._alone = tree.root if not tree.root.below and self._body is None else None
        self._provider = made["dependency_overrides_provider"]
        self._largest_body = largest_body

    @classmethod
    def of(cls, made: Mapping[str, Any], largest_body: int | None) -> "Solved | None":
        """Return what does as FastAPI's handler, None where that cannot be known.

        Given is what the handler was made with.
        """
        dependant: Dependant = made["dependant"]
        # Where there are several bodies, a dependency has one of them.
        body = next(iter(dependant.body_params), None)
        tree = Tree.of(dependant) if made["body_field"] is body else None
        return None if tree is None else cls(made, tree, largest_body)

    async def answer(
        self, scope: Scope, receive: Receive, send: Send
    ) -> Receive | None:
        """Answer a request, and let the app's handlers answer an exception.

        Returns what FastAPI's way is to receive where the answer is left to it, and
        nothing has been called yet.
        """
        request = self.request(scope, receive, send)
        started = False
        try:
            response = await self.respond(request)
            if response is None:
                return request.receive
            started = True
            await response(scope, request.receive, send)
        except Exception as exc:  # noqa: BLE001 - the app's handlers are for any
            await handle_error(exc, request, request.receive, send, started=started)
        return None

    def request(self, scope: Scope, receive: Receive, send: Send) -> StrictRequest:
        """Return the request that is shown to all."""
        heard = receive if self._body is None else Heard(receive)
        request = StrictRequest(scope, heard, send)
        request.largest_body = self._largest_body
        return request

    async def respond(self, request: StrictRequest) -> ASGIApp | None:
        """Return what answers, None where it is left to FastAPI's way."""
        provider = self._provider
        if (provider and provider.dependency_overrides) or not self._holds():
            return None
        check_address(request.scope)
        sent: _Sent | None = _NOTHING
        if self._body is not None:
            sent = await self._read(request)
        if sent is None:
            return None
        request.scope[THIN] = True
        if self._alone is not None:
            faults: list[Any] = []
            values = self._alone.of_request(request, faults)
            if faults:
                raise self._invalid(request, _NOTHING, faults)
            return await self._run(**values)
        return await self._solved(request, sent)

    async def _read(self, request: StrictRequest) -> "_Sent | None":
        """Return what a body says, None where FastAPI has to say what is wrong."""
        heard: Any = request.receive
        most = self._largest_body
        body = await heard.body(most) if is_short_json(request.scope, most) else None
        if not body:
            return None
        if self._quick is not None and (value := self._quick(body)) is not None:
            heard.forget()
            request.take_body(body)
            return _Sent(value, valid=True)
        try:
            said = read_json(body)
        except json.JSONDecodeError:
            return None
        heard.forget()
        request.take_body(body, said)
        return _Sent(said)

    async def _solve_between_stacks(
        self, request: StrictRequest, sent: "_Sent"
    ) -> ASGIApp:
        """Solve where code that is not known may look for FastAPI's exit stacks."""
        scope, stack = request.scope, AsyncExitStack()
        scope["fastapi_inner_astack"] = stack
        async with AsyncExitStack() as failing:
            failing.push_async_exit(stack)
            async with AsyncExitStack() as inner:
                scope["fastapi_function_astack"] = inner
                response = await self._solve(request, sent)
            failing.pop_all()
            return _Stacked(response, stack)
        raise FastAPIError("what a dependency has put on an exit stack hides an error")

    async def _solve(self, request: StrictRequest, sent: "_Sent") -> Response:
        if self._tree.shows_requests:
            _look(request)
        solving = Solving(request)
        values = await self._tree.root.values(solving)
        if self._body is not None:
            values[self._body.name] = sent.checked(self._body, solving.faults)
        if solving.faults:
            raise self._invalid(request, sent, solving.faults)
        response = await self._run(**values)
        return merged(response, solving.response) if solving.written else response

    def _invalid(
        self, request: StrictRequest, sent: "_Sent", faults: list[Any]
    ) -> RequestValidationError:
        """Return the error that FastAPI would raise."""
        root = request.scope.get("root_path", "").rstrip("/")
        said = request.said_so_far() if sent.valid else sent.value
        return RequestValidationError(
            faults,
            body=said,
            endpoint_ctx={"path": f"{request.method} {root}{self._path}"},
        )


@dataclass(slots=True)
class _Sent:
    """What a body says, or what has been made of it already."""

    value: Any = None
    valid: bool = False
    """Whether it is what the endpoint takes."""

    def checked(self, field: Any, faults: list[Any]) -> Any:
        """Return what the endpoint takes; add what is wrong with it to the faults."""
        if self.valid:
            return self.value
        value, wrong = field.validate(self.value, {}, loc=("body",))
        faults.extend(wrong)
        return value


_NOTHING = _Sent()


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
