"""The routes that read: one row, lists, searches, counts."""

import inspect
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import BaseModel, WithJsonSchema

from howdah.resource.action import (
    Action,
    key_of,
    key_parameters,
    key_path,
    parameter,
)
from howdah.resource.answers import page_model, row_model
from howdah.resource.asked import read_body, read_count, read_list, read_show
from howdah.resource.parameters import (
    body_schema,
    count_parameters,
    page_parameters,
    page_place_parameters,
    search_parameters,
    show_parameters,
)
from howdah.resource.rows import Rows
from howdah.resource.wire import TOTAL_KIND, answer_page, json_answer, tagged_answer
from howdah.route import Later

__all__ = (
    "count_action",
    "get_action",
    "list_action",
    "query_action",
    "search_action",
)


def list_action(resource: Rows[Any]) -> Action:
    """Return `GET /`: a page of rows."""

    async def list_rows(request: Request) -> Response:
        """List rows."""
        return await answer_page(resource, request, *read_list(resource, request))

    return Action(
        "list",
        resource,
        list_rows,
        lambda: [parameter("request", Request)],
        path="/",
        methods=["GET"],
        response_model=Later(lambda: page_model(resource)),
        openapi_extra=Later(lambda: {"parameters": page_parameters(resource)}),
        statuses=(),
    )


def search_action(resource: Rows[Any]) -> Action:
    """Return `GET /search`: a page of the rows that hold some words."""

    async def search(request: Request) -> Response:
        """List the rows that hold the words."""
        asked = read_list(resource, request, words=True)
        return await answer_page(resource, request, *asked)

    return Action(
        "search",
        resource,
        search,
        lambda: [parameter("request", Request)],
        path="/search",
        methods=["GET"],
        response_model=Later(lambda: page_model(resource)),
        openapi_extra=Later(lambda: {"parameters": search_parameters(resource)}),
        statuses=(),
    )


def query_action(resource: Rows[Any]) -> Action:
    """Return `POST /search`: a page of rows, asked for in a body."""

    async def query_rows(body: dict[str, Any], request: Request) -> Response:
        """List rows as a body asks, with lists that are too long for an address.

        The Link header has the addresses of other pages: send the same body there.
        """
        asked = read_body(resource, request, body)
        return await answer_page(resource, request, *asked)

    def takes() -> list[inspect.Parameter]:
        asked = Annotated[dict[str, Any], WithJsonSchema(body_schema(resource))]
        return [parameter("body", asked), parameter("request", Request)]

    return Action(
        "query",
        resource,
        query_rows,
        takes,
        path="/search",
        methods=["POST"],
        response_model=Later(lambda: page_model(resource)),
        openapi_extra=Later(lambda: {"parameters": page_place_parameters(resource)}),
        statuses=(413, 415),
    )


class Total(BaseModel):
    """How many rows there are."""

    total: int


def count_action(resource: Rows[Any]) -> Action:
    """Return `GET /count`: how many rows there are."""

    async def count(request: Request) -> Response:
        """Count rows, or estimate how many there are."""
        query = read_count(resource, request)
        body = b'{"total": %d}' % await resource.count(query)
        return json_answer(body, headers={TOTAL_KIND: query.count or "exact"})

    return Action(
        "count",
        resource,
        count,
        lambda: [parameter("request", Request)],
        path="/count",
        methods=["GET"],
        response_model=Later(lambda: Total),
        openapi_extra=Later(lambda: {"parameters": count_parameters(resource)}),
        statuses=(),
    )


def get_action(resource: Rows[Any]) -> Action:
    """Return `GET /{key}`: one row."""

    async def get(request: Request, **given: Any) -> Response:
        """Get one row; If-None-Match with its ETag answers 304."""
        show = read_show(resource, request)
        row = await resource.get(key_of(given), show=show)
        # The tag is of the row alone; what is embedded may have changed beside it.
        return tagged_answer(row, None if show.include else request)

    return Action(
        "get",
        resource,
        get,
        lambda: [*key_parameters(resource), parameter("request", Request)],
        path=key_path(resource),
        methods=["GET"],
        response_model=Later(lambda: row_model(resource)),
        openapi_extra=Later(lambda: {"parameters": show_parameters(resource)}),
        statuses=(304, 404),
    )
