"""Errors as RFC 9457 problem details: one function, and the handlers that call it.

A problem never holds SQL, a stack, what a client sent or a value of another row.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp

from howdah.document import make_bounds_whole
from howdah.drivers import foreign, translate
from howdah.errors import FieldError, HowdahError, Invalid

__all__ = ("MEDIA_TYPE", "install", "problem", "responses")

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger("howdah.problems")


def problem(error: HowdahError, *, instance: str | None = None) -> dict[str, Any]:
    """Return the members of a problem: `type`, `title`, `status`, `detail`, ..."""
    members = _members(error.status, error.code, error.message, instance)
    if error.errors:
        members["errors"] = [_fault(fault) for fault in error.errors]
    return members


def install(app: FastAPI) -> None:
    """Let the app answer every error with a problem."""
    app.add_exception_handler(HowdahError, _on_howdah)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_fault)
    app.build_middleware_stack = partial(_handled, app, app.build_middleware_stack)  # type: ignore[method-assign] # see there
    # As https://fastapi.tiangolo.com/how-to/extending-openapi/ has it.
    app.openapi = partial(_documented, app.openapi)  # type: ignore[method-assign] # as documented


def _handled(app: FastAPI, build: Callable[[], ASGIApp]) -> ASGIApp:
    """Return the app in its middleware, drivers' errors handled.

    It is built when the app starts; a driver may be imported behind `install`.
    """
    for each in foreign():
        app.exception_handlers.setdefault(each, _on_driver)
    return build()


def _documented(document: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the app's OpenAPI, in which a 422 is the problem that is answered."""
    described = document()
    make_bounds_whole(described)
    schemas: dict[str, Any] = described.get("components", {}).get("schemas", {})
    if "HTTPValidationError" not in schemas:
        return described
    for operations in described["paths"].values():
        for operation in operations.values():
            _mend_invalid(operation)
    for shadow in ("HTTPValidationError", "ValidationError"):
        schemas.pop(shadow, None)
    return described


def _mend_invalid(operation: object) -> None:
    answers = operation.get("responses", {}) if isinstance(operation, dict) else {}
    if _REFERENCE in str(answers.get("422", "")):
        answers["422"] = responses(422)[422]


_REFERENCE = "#/components/schemas/HTTPValidationError"


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of these statuses, for `responses=` of a route."""
    return {status: _response(status) for status in statuses}


def _response(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if status not in _BODYLESS:
        described["content"] = {MEDIA_TYPE: {"schema": _SCHEMA}}
    return described


_TEXT = {"type": "string"}
_SCHEMA: Mapping[str, Any] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {**_TEXT, "format": "uri"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "instance": _TEXT,
        "code": _TEXT,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": _TEXT,
                    "index": {"type": "integer"},
                    "code": _TEXT,
                    "message": _TEXT,
                },
            },
        },
    },
}
_CODES: Mapping[int, str] = {
    400: "bad_request",
    413: "too_large",
    415: "unsupported_media_type",
    422: Invalid.code,
}


def _members(
    status: int, code: str, detail: str, instance: str | None
) -> dict[str, Any]:
    members = {
        "type": f"urn:howdah:problem:{code}",
        "title": _phrase(status),
        "status": status,
        "detail": detail,
        "code": code,
    }
    return members if instance is None else {**members, "instance": instance}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _fault(fault: FieldError) -> dict[str, Any]:
    members: dict[str, Any] = {
        "field": fault.field,
        "code": fault.code,
        "message": fault.message,
    }
    return members if fault.index is None else {**members, "index": fault.index}


async def _on_howdah(request: Request, error: Exception) -> Response:
    assert isinstance(error, HowdahError)  # noqa: S101 - for types: registered so
    if error.status == _FAULT:
        return await _on_fault(request, error)
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
    return _answer(
        problem(error, instance=request.url.path), error.status, headers=headers
    )


async def _on_driver(request: Request, error: Exception) -> Response:
    translated = translate(error)
    translated.__cause__ = error
    return await _on_howdah(request, translated)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - for types
    faults = tuple(_field_error(fault) for fault in error.errors())
    return await _on_howdah(request, Invalid(errors=faults))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - for types
    status = error.status_code
    if status in _BODYLESS:
        return Response(status_code=status, headers=error.headers)
    known = isinstance(error.detail, str)
    detail = error.detail if known else _phrase(status)
    code = _CODES.get(status) or _phrase(status).lower().replace(" ", "_")
    members = _members(status, code, detail, request.url.path)
    headers = dict(error.headers or {})
    if status == _WRONG_METHOD:
        headers["Allow"] = _allowed(request) or headers.get("Allow", "")
    if not known:
        # Some raise HTTPException with an object: it is kept, beside the text.
        members["data"] = jsonable_encoder(error.detail)
    return _answer(members, status, headers=headers)


async def _on_fault(request: Request, error: Exception) -> Response:
    if not isinstance(error, HowdahError) and isinstance(error, foreign()):
        # Of a driver that was imported when the app was running.
        return await _on_driver(request, error)
    number = uuid4().hex
    _log.error(
        "fault %s in %s %s",
        number,
        request.method,
        request.url.path,
        exc_info=error,
        extra={"action": "fault", "fault": number},
    )
    detail = f"Something went wrong inside; the log has it as {number}."
    members = _members(_FAULT, HowdahError.code, detail, request.url.path)
    return _answer({**members, "id": number}, _FAULT)


_FAULT = 500
_WRONG_METHOD = 405
_BODYLESS = frozenset({204, 205, 304})


def _allowed(request: Request) -> str:
    """Return every method that some route has for this path.

    Starlette names those of the first route alone, and RFC 9110 wants them all.
    """
    return ", ".join(method for method in _METHODS if _is_allowed(request, method))


def _is_allowed(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method, "path_params": {}}
    routes = request.app.routes
    return any(route.matches(dict(scope))[0] is Match.FULL for route in routes)


_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def _answer(
    members: Mapping[str, Any],
    status: int,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    return JSONResponse(
        members, status_code=status, headers=headers, media_type=MEDIA_TYPE
    )


def _field_error(fault: Mapping[str, Any]) -> FieldError:
    """Name a field as clients know it: without `body` or `query` before it."""
    place = [part for part in fault["loc"][1:] if part != "[key]"]
    if fault["type"] == "json_invalid":
        return FieldError(field="body", code="json_invalid", message=_json_fault(fault))
    index = place.pop(0) if place and isinstance(place[0], int) else None
    return FieldError(
        field=".".join(_printable(part) for part in place) or str(fault["loc"][0]),
        index=index,
        code=str(fault["type"]),
        message=str(fault["msg"]).removeprefix("Value error, "),
    )


def _json_fault(fault: Mapping[str, Any]) -> str:
    reason = fault.get("ctx", {}).get("error", "cannot be read")
    position = fault["loc"][-1]
    where = (
        f" at character {position}" if isinstance(position, int) and position else ""
    )
    return f"is no JSON: {reason}{where}"


def _printable(part: object) -> str:
    # A key of the client's own making may hold what no text may: half a character.
    return str(part).encode("utf-8", "replace").decode()[:100]
