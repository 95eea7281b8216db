"""The dependencies of a route, solved as FastAPI solves them.

A tree is made of kinds of which it is known what FastAPI does with them, or there is
none. Each dependency is called when, how and as often as FastAPI would call it; what it
raises goes through, and what parameters lack is gathered, as FastAPI gathers it.
"""

from collections.abc import Iterator
from dataclasses import fields
from functools import cached_property
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.models import Dependant
from fastapi.security.base import SecurityBase

from howdah.route.internals import is_awaited
from howdah.route.late import RESPONSE
from howdah.route.parameters import Parameters

__all__ = ("Node", "Solving", "Tree")


class Solving:
    """What is known while the dependencies of one request are solved."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.faults: list[Any] = []
        self.solved: dict[Any, Any] = {}
        self.written = False
        """Whether a dependency has asked for the response."""

    @cached_property
    def response(self) -> Response:
        """The response that dependencies may write into, as FastAPI makes it."""
        self.written = True
        response = Response()
        del response.headers["content-length"]
        response.status_code = None  # type: ignore[assignment] # as FastAPI does
        return response


class Tree:
    """A function and the dependencies of its parameters."""

    def __init__(self, root: "Node") -> None:
        below = list(root.descendants())
        given = [each for each in below if each.requests]
        self.root = root
        """The endpoint, which is to be called behind all others."""
        self._below = below
        self.shows_requests = bool(given)
        """Whether a dependency gets the request itself."""
        self.is_closed = all(map(Node.is_of_fastapi, given))
        """Whether only FastAPI's own code gets it."""

    @classmethod
    def of(cls, dependant: Dependant) -> "Tree | None":
        """Return the tree of a route, None where only FastAPI knows what to do."""
        if {field.name for field in fields(Dependant)} != _FIELDS:
            # A release of FastAPI that knows more of functions than is known here.
            return None
        root = Node(dependant)
        known = all(each.is_known for each in root.descendants())
        return cls(root) if known else None

    def holds(self) -> bool:
        """Say whether nobody has changed what has to be called."""
        return self.root.holds() and all(map(Node.holds, self._below))


class Node:
    """A function of a tree."""

    def __init__(self, dependant: Dependant) -> None:
        self.call: Any = dependant.call
        self.name = dependant.name
        self.below = [Node(each) for each in dependant.dependencies]
        requests = (dependant.http_connection_param_name, dependant.request_param_name)
        self.requests = [name for name in requests if name is not None]
        self._dependant = dependant
        self._dependencies = list(dependant.dependencies)
        self.cached = dependant.use_cache
        self.awaited = is_awaited(self.call)
        self._parameters = Parameters(dependant)
        self._readers = self._parameters.groups
        # The endpoint is no dependency: it takes what they have written.
        takes = dependant.response_param_name
        self._response = None if takes == RESPONSE else takes
        asks = (self._parameters.groups, self.requests, self._response)
        self._is_told = any(asks)

    @property
    def is_known(self) -> bool:
        """Whether it is sure what FastAPI does with this dependency."""
        hashable = type(self.call).__hash__ is not None
        foreign = any(getattr(self._dependant, name) for name in _FOREIGN)
        return hashable and not foreign and self.awaited is not None

    def is_of_fastapi(self) -> bool:
        """Say whether it is one of FastAPI's own security schemes."""
        kind = type(self.call)
        known = kind.__module__.startswith("fastapi.security.")
        return known and issubclass(kind, SecurityBase)

    def holds(self) -> bool:
        """Say whether it is called, and calls others, as ever."""
        given = self._dependant
        # Dependencies are the same objects; comparing them ends there.
        return given.call is self.call and given.dependencies == self._dependencies

    def descendants(self) -> "Iterator[Node]":
        """Yield all dependencies."""
        for each in self.below:
            yield each
            yield from each.descendants()

    async def values(self, solving: Solving) -> dict[str, Any]:
        """Return what the function takes, all that it depends on called."""
        values: dict[str, Any] = {}
        faults, solved = solving.faults, solving.solved
        for each in self.below:
            before = len(faults)
            given = await each.values(solving) if each.below else each.own(solving, {})
            if len(faults) > before:
                continue
            call = each.call
            if each.cached and call in solved:
                value = solved[call]
            else:
                # As a method of its own, this would cost a tenth of all.
                if each.awaited:
                    value = await call(**given)
                else:
                    value = await run_in_threadpool(call, **given)
                solved.setdefault(call, value)
            if each.name is not None:
                values[each.name] = value
        return self.own(solving, values)

    def of_request(self, request: Request, faults: list[Any]) -> dict[str, Any]:
        """Return what a function takes that depends on nothing and writes nothing."""
        values: dict[str, Any] = {}
        for read in self._readers:
            read(request, values, faults)
        for name in self.requests:
            values[name] = request
        return values

    def own(self, solving: Solving, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values with those that come from the request itself."""
        if self._is_told:
            self._parameters.read(solving.request, values, solving.faults)
            for name in self.requests:
                values[name] = solving.request
            if self._response is not None:
                values[self._response] = solving.response
        return values


# What FastAPI knows of a function; of any more nothing is known here.
_FIELDS = {
    "background_tasks_param_name",
    "body_params",
    "call",
    "concurrency",
    "cookie_params",
    "dependencies",
    "header_params",
    "http_connection_param_name",
    "name",
    "own_oauth_scopes",
    "parent_oauth_scopes",
    "path",
    "path_params",
    "query_params",
    "request_param_name",
    "response_param_name",
    "scope",
    "security_scopes_param_name",
    "use_cache",
    "websocket_param_name",
}
# What makes a dependency one of a kind that is FastAPI's alone.
_FOREIGN = (
    "background_tasks_param_name",
    "body_params",
    "concurrency",
    "own_oauth_scopes",
    "parent_oauth_scopes",
    "scope",
    "security_scopes_param_name",
    "websocket_param_name",
)
