"""The routes that read: one row, lists, searches, counts."""

from typing import Annotated, Any

from fastapi import Query as QueryParameter
from fastapi import Request, Response
from pydantic import BaseModel, create_model

from howdah.resource.action import (
    Action,
    key_of,
    key_parameters,
    key_path,
    parameter,
    rows_model,
)
from howdah.resource.rows import Rows
from howdah.resource.wire import (
    answer_page,
    filter_parameters,
    grouped,
    json_answer,
    page_parameters,
    tagged_answer,
)
from howdah.search import FullText

__all__ = ("count_action", "get_action", "list_action", "search_action")


def list_action(resource: Rows[Any]) -> Action:
    """Return `GET /`: a page of rows."""

    async def list_rows(request: Request) -> Response:
        """List rows."""
        return await answer_page(resource, request)

    return Action(
        "list",
        resource,
        list_rows,
        parameter("request", Request),
        path="/",
        methods=["GET"],
        response_model=_page_model(resource),
        openapi_extra={"parameters": page_parameters(resource)},
        statuses=(),
    )


def search_action(resource: Rows[Any]) -> Action:
    """Return `GET /search`: a page of the rows that hold some words."""

    async def search(q: str, request: Request) -> Response:
        """List the rows that hold the words."""
        return await answer_page(resource, request, search=q)

    words = QueryParameter(
        min_length=1,
        max_length=_LONGEST_SEARCH,
        description=_search_help(resource),
    )
    return Action(
        "search",
        resource,
        search,
        parameter("q", Annotated[str, words]),
        parameter("request", Request),
        path="/search",
        methods=["GET"],
        response_model=_page_model(resource),
        openapi_extra={"parameters": page_parameters(resource)},
        statuses=(),
    )


def _search_help(resource: Rows[Any]) -> str:
    if isinstance(resource.search, FullText):
        return (
            'Words that a row has to hold; "words in quotes" as they stand, `or` '
            "between two for either of them, `-` before one for none of it"
        )
    return f"What {', '.join(resource.search)} has to hold"


class Total(BaseModel):
    """How many rows there are."""

    total: int


def count_action(resource: Rows[Any]) -> Action:
    """Return `GET /count`: how many rows there are."""

    async def count(request: Request) -> Response:
        """Count rows."""
        given = grouped(resource, request.query_params.multi_items(), set())
        total = await resource.count(resource.language.read(given))
        return json_answer(b'{"total": %d}' % total)

    return Action(
        "count",
        resource,
        count,
        parameter("request", Request),
        path="/count",
        methods=["GET"],
        response_model=Total,
        openapi_extra={"parameters": filter_parameters(resource)},
        statuses=(),
    )


def get_action(resource: Rows[Any]) -> Action:
    """Return `GET /{key}`: one row."""

    async def get(request: Request, **given: Any) -> Response:
        """Get one row; If-None-Match with its ETag answers 304."""
        key = key_of(given)
        return tagged_answer(await resource.get(key), request)

    return Action(
        "get",
        resource,
        get,
        *key_parameters(resource),
        parameter("request", Request),
        path=key_path(resource),
        methods=["GET"],
        response_model=resource.read_schema,
        statuses=(304, 404),
    )


_LONGEST_SEARCH = 1000


def _page_model(resource: Rows[Any]) -> Any:
    rows = rows_model(resource)
    if not resource.envelope:
        return rows
    fields: Any = {"items": (rows, ...)}
    fields |= dict.fromkeys(("total", "skip", "limit"), (int, ...))
    return create_model(f"{resource.name}Page", **fields)
