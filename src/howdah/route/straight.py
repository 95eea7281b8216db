"""The thin way of a route that has no dependency at all.

The parameters are read by the validators that FastAPI has built. What is unusual about
a request is left to FastAPI's way, which alone says what is wrong with it.
"""

import json
from collections.abc import Awaitable, Mapping
from typing import Any

from fastapi import Response
from fastapi.dependencies.models import Dependant
from starlette.types import Scope

from howdah.route.heard import Heard, is_short_json
from howdah.route.late import Endpoint
from howdah.route.strict import StrictRequest
from howdah.route.texts import check_address, read_json

__all__ = ("Straight",)


class Straight:
    """Reads from requests what an endpoint takes."""

    def __init__(self, dependant: Dependant, largest_body: int | None) -> None:
        assert isinstance(dependant.call, Endpoint)  # noqa: S101 - for types
        self._run = dependant.call.run
        self._quick = dependant.call.quick
        self._dependant = dependant
        self._path = tuple((it.name, it.validate) for it in dependant.path_params)
        self._defaults = {it.name: it.get_default() for it in dependant.query_params}
        self._body: Any = next(iter(dependant.body_params), None)
        self.has_body = self._body is not None
        self._request = dependant.request_param_name
        self._largest_body = largest_body

    def read(
        self, scope: Scope, path: Mapping[str, Any], heard: Heard
    ) -> dict[str, Any] | None:
        """Return what the endpoint takes beside a body, or None, see `Way`."""
        check_address(scope)
        # There were no dependencies, and a tool may have added one since.
        if self._dependant.dependencies or (self._defaults and scope["query_string"]):
            return None
        given = dict(self._defaults)
        for name, validate in self._path:
            given[name], faults = validate(path[name])
            if faults:
                return None
        if self._request is not None:
            given[self._request] = StrictRequest(
                scope, heard, largest_body=self._largest_body
            )
        return given

    async def read_body(
        self, given: dict[str, Any], scope: Scope, heard: Heard
    ) -> dict[str, Any] | None:
        """Return what the endpoint takes, or None, see `Way`."""
        value = await self._value(self._body, scope, heard)
        if value is _NOTHING:
            return None
        return given | {self._body.name: value}

    def answer(self, given: Mapping[str, Any]) -> Awaitable[Response]:
        """Return what the endpoint answers."""
        return self._run(**given)

    async def _value(self, field: Any, scope: Scope, heard: Heard) -> Any:
        """Return what the body says, `_NOTHING` where FastAPI has to say why not."""
        if not is_short_json(scope, self._largest_body):
            return _NOTHING
        body = await heard.body(self._largest_body)
        if not body:
            return _NOTHING
        if self._quick is not None and (value := self._quick(body)) is not None:
            return value
        try:
            value, faults = field.validate(read_json(body))
        except json.JSONDecodeError:
            return _NOTHING
        return _NOTHING if faults else value


_NOTHING = object()
