"""The routes of a resource: paths, statuses, schemas, and what OpenAPI says of them."""

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi import Query as QueryParameter
from pydantic import BaseModel, create_model
from pydantic import Field as Constrained

from howdah import problems
from howdah.models import python_type
from howdah.resource.rows import Rows
from howdah.resource.wire import (
    IF_MATCH,
    Whole,
    answer_page,
    etag,
    filter_parameters,
    grouped,
    json_answer,
    page_parameters,
    read_match,
    strict,
    tagged_answer,
)

__all__ = ("Action", "actions")


def actions(resource: Rows[Any]) -> list["Action"]:
    """Return the routes; fixed paths stand before `/{key}`, which would match them."""
    name = _snake(resource.name)
    one = f"/{{{name}_id}}"
    return [
        _create(resource),
        _list(resource),
        *([_search(resource)] if resource.search else []),
        _count(resource),
        *([_create_many(resource)] if resource.takes_batches else []),
        _get(resource, one),
        _update(resource, one, "PUT"),
        _update(resource, one, "PATCH"),
        _delete(resource, one),
        *([_restore(resource, one)] if resource.soft_delete else []),
    ]


class Action:
    """One route: its method and path, what it takes, and what it answers."""

    def __init__(
        self,
        name: str,
        resource: Rows[Any],
        endpoint: Callable[..., Awaitable[Response]],
        *parameters: inspect.Parameter,
        **route: Any,
    ) -> None:
        self.name = name
        self.resource = resource
        self.parameters = parameters
        self.endpoint = endpoint
        self.route = route

    def add_to(self, router: APIRouter) -> None:
        """Register the route, under a name that stays the same for clients."""
        statuses = self.route.pop("statuses")
        place = _snake_path(router.prefix) or self.resource.plural
        router.add_api_route(
            endpoint=self._signed(),
            operation_id=f"{place}_{self.name}",
            summary=self._summary(),
            responses=problems.responses(*statuses, 422, 503),
            **self.route,
        )

    def _signed(self) -> Callable[..., Awaitable[Response]]:
        """Return the endpoint with the signature that FastAPI reads."""
        endpoint = self.endpoint

        async def signed(**given: Any) -> Response:
            return await endpoint(**given)

        signed.__name__ = f"{self.name}_{self.resource.plural}"
        signed.__doc__ = endpoint.__doc__
        signed.__signature__ = inspect.Signature(  # type: ignore[attr-defined] # read by inspect.signature
            list(self.parameters)
        )
        return signed

    def _summary(self) -> str:
        several = self.name in {"list", "search", "count", "create_many"}
        noun = self.resource.plural if several else _snake(self.resource.name)
        return f"{self.name} {noun}".replace("_", " ").capitalize()


def _create(resource: Rows[Any]) -> Action:
    async def create(values: BaseModel, request: Request) -> Response:
        """Create a row."""
        created = await resource.create(values)
        headers = {"ETag": etag(created)}
        if created.key is not None:
            headers["Location"] = f"{request.url.path.rstrip('/')}/{created.key}"
        return json_answer(created.body, status=201, headers=headers)

    return Action(
        "create",
        resource,
        create,
        _parameter("values", strict(resource.create_schema)),
        _parameter("request", Request),
        path="/",
        methods=["POST"],
        status_code=201,
        response_model=resource.read_schema,
        statuses=(409, 413, 415),
    )


def _create_many(resource: Rows[Any]) -> Action:
    async def create_many(rows: Sequence[BaseModel]) -> Response:
        """Create all rows or none, in one transaction."""
        return json_answer(await resource.create_many(rows), status=201)

    schema: Any = strict(resource.create_schema)
    rows = Annotated[list[schema], Constrained(max_length=resource.batch)]
    return Action(
        "create_many",
        resource,
        create_many,
        _parameter("rows", rows),
        path="/batch",
        methods=["POST"],
        status_code=201,
        response_model=_rows_model(resource),
        statuses=(409, 413, 415),
    )


def _list(resource: Rows[Any]) -> Action:
    async def list_rows(request: Request) -> Response:
        """List rows."""
        return await answer_page(resource, request)

    return Action(
        "list",
        resource,
        list_rows,
        _parameter("request", Request),
        path="/",
        methods=["GET"],
        response_model=_page_model(resource),
        openapi_extra={"parameters": page_parameters(resource)},
        statuses=(),
    )


def _search(resource: Rows[Any]) -> Action:
    async def search(q: str, request: Request) -> Response:
        """List the rows that hold the words."""
        return await answer_page(resource, request, search=q)

    words = QueryParameter(
        min_length=1,
        max_length=_LONGEST_SEARCH,
        description=f"What {', '.join(resource.search)} has to hold",
    )
    return Action(
        "search",
        resource,
        search,
        _parameter("q", Annotated[str, words]),
        _parameter("request", Request),
        path="/search",
        methods=["GET"],
        response_model=_page_model(resource),
        openapi_extra={"parameters": page_parameters(resource)},
        statuses=(),
    )


_LONGEST_SEARCH = 1000


def _page_model(resource: Rows[Any]) -> Any:
    rows = _rows_model(resource)
    if not resource.envelope:
        return rows
    fields: Any = {"items": (rows, ...)}
    fields |= dict.fromkeys(("total", "skip", "limit"), (int, ...))
    return create_model(f"{resource.name}Page", **fields)


def _rows_model(resource: Rows[Any]) -> Any:
    schema: Any = resource.read_schema
    return list[schema]


class Total(BaseModel):
    """How many rows there are."""

    total: int


def _count(resource: Rows[Any]) -> Action:
    async def count(request: Request) -> Response:
        """Count rows."""
        given = grouped(resource, request.query_params.multi_items(), set())
        total = await resource.count(resource.language.read(given))
        return json_answer(b'{"total": %d}' % total)

    return Action(
        "count",
        resource,
        count,
        _parameter("request", Request),
        path="/count",
        methods=["GET"],
        response_model=Total,
        openapi_extra={"parameters": filter_parameters(resource)},
        statuses=(),
    )


def _get(resource: Rows[Any], path: str) -> Action:
    async def get(request: Request, **given: Any) -> Response:
        """Get one row; If-None-Match with its ETag answers 304."""
        (key,) = given.values()
        return tagged_answer(await resource.get(key), request)

    return Action(
        "get",
        resource,
        get,
        _key_parameter(resource),
        _parameter("request", Request),
        path=path,
        methods=["GET"],
        response_model=resource.read_schema,
        statuses=(304, 404),
    )


def _update(resource: Rows[Any], path: str, method: str) -> Action:
    async def update(values: BaseModel, request: Request, **given: Any) -> Response:
        """Change the fields that are sent, and no others."""
        (key,) = given.values()
        match = read_match(resource, request)
        return tagged_answer(await resource.update(key, values, match=match))

    return Action(
        "update" if method == "PUT" else "patch",
        resource,
        update,
        _key_parameter(resource),
        _parameter("values", strict(resource.update_schema)),
        _parameter("request", Request),
        path=path,
        methods=[method],
        response_model=resource.read_schema,
        openapi_extra={"parameters": [IF_MATCH]},
        statuses=(404, 409, 412, 413, 415, 428),
    )


def _delete(resource: Rows[Any], path: str) -> Action:
    async def delete(*, hard_delete: bool, request: Request, **given: Any) -> Response:
        """Delete a row; where rows are only marked as deleted, hard_delete removes."""
        (key,) = given.values()
        match = read_match(resource, request)
        await resource.delete(key, hard=hard_delete, match=match)
        return Response(status_code=204)

    hard = QueryParameter(description="Remove the row instead of marking it")
    return Action(
        "delete",
        resource,
        delete,
        _key_parameter(resource),
        _parameter("hard_delete", Annotated[bool, hard], default=False),
        _parameter("request", Request),
        path=path,
        methods=["DELETE"],
        status_code=204,
        openapi_extra={"parameters": [IF_MATCH]},
        statuses=(404, 409, 412, 428),
    )


def _restore(resource: Rows[Any], path: str) -> Action:
    async def restore(request: Request, **given: Any) -> Response:
        """Take back the mark of deletion."""
        (key,) = given.values()
        match = read_match(resource, request)
        return tagged_answer(await resource.restore(key, match=match))

    return Action(
        "restore",
        resource,
        restore,
        _key_parameter(resource),
        _parameter("request", Request),
        path=f"{path}/restore",
        methods=["POST"],
        response_model=resource.read_schema,
        openapi_extra={"parameters": [IF_MATCH]},
        statuses=(404, 409, 412, 428),
    )


def _parameter(
    name: str, annotation: Any, *, default: Any = inspect.Parameter.empty
) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _key_parameter(resource: Rows[Any]) -> inspect.Parameter:
    kind = python_type(resource.key.type)
    annotation: Any = Whole if kind is int else kind
    return _parameter(f"{_snake(resource.name)}_id", Annotated[annotation, Path()])


def _snake_path(path: str) -> str:
    """Return a path as a name: one model may be served in several places."""
    return re.sub(r"[^a-zA-Z0-9]+", "_", path).strip("_")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
