"""The routes that write: create, update, delete, restore."""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import Query as QueryParameter
from fastapi import Request, Response
from pydantic import BaseModel
from pydantic import Field as Constrained

from howdah.resource.action import (
    Action,
    key_of,
    key_parameters,
    key_path,
    parameter,
    rows_model,
)
from howdah.resource.bodies import Read, late, quick_row, quick_rows
from howdah.resource.once import key_parameter, once_of
from howdah.resource.rows import Rows
from howdah.resource.wire import (
    IF_MATCH,
    created_answer,
    read_match,
    tagged_answer,
)
from howdah.route import Later
from howdah.schemas import strict
from howdah.store import Replayed, Row

__all__ = (
    "create_action",
    "create_many_action",
    "delete_action",
    "restore_action",
    "update_action",
)


def create_action(resource: Rows[Any]) -> Action:
    """Return `POST /`: a new row."""

    async def create(values: BaseModel, request: Request) -> Response:
        """Create a row."""
        once = await once_of(request, resource, resource.create)
        try:
            created = await resource.create(values, **once)
        except Replayed as first:
            return created_answer(first.row, request, replayed=True)
        return created_answer(created, request)

    return Action(
        "create",
        resource,
        create,
        lambda: [
            parameter("values", strict(resource.create_schema)),
            parameter("request", Request),
        ],
        path="/",
        methods=["POST"],
        status_code=201,
        response_model=Later(lambda: resource.read_schema),
        openapi_extra=Later(lambda: key_parameter(resource, resource.create)),
        quick=late(lambda: _quick_new(resource)),
        statuses=(409, 413, 415),
    )


def create_many_action(resource: Rows[Any]) -> Action:
    """Return `POST /batch`: many new rows."""

    async def create_many(rows: Sequence[BaseModel], request: Request) -> Response:
        """Create all rows or none, in one transaction."""
        once = await once_of(request, resource, resource.create_many)
        try:
            created = Row(body=await resource.create_many(rows, **once), tag="")
        except Replayed as first:
            return created_answer(first.row, request, replayed=True)
        return created_answer(created, request)

    def takes() -> list[inspect.Parameter]:
        schema: Any = strict(resource.create_schema)
        rows = Annotated[list[schema], Constrained(max_length=resource.batch)]
        return [parameter("rows", rows), parameter("request", Request)]

    return Action(
        "create_many",
        resource,
        create_many,
        takes,
        path="/batch",
        methods=["POST"],
        status_code=201,
        response_model=Later(lambda: rows_model(resource)),
        openapi_extra=Later(lambda: key_parameter(resource, resource.create_many)),
        quick=late(lambda: _quick(resource)),
        statuses=(409, 413, 415),
    )


def _quick(resource: Rows[Any]) -> Read | None:
    """Return what reads the rows of a batch at once, unless others look at them."""
    if type(resource).create_many is not Rows.create_many:
        return None
    schema, most = resource.create_schema, resource.batch
    return quick_rows(schema, resource.fields, most=most)


def _quick_new(resource: Rows[Any]) -> Callable[[bytes], Any] | None:
    if type(resource).create is not Rows.create:
        return None
    return quick_row(resource.create_schema, resource.fields, never_null=())


def _quick_change(resource: Rows[Any]) -> Callable[[bytes], Any] | None:
    if type(resource).update is not Rows.update:
        return None
    never = resource.never_null
    return quick_row(resource.update_schema, resource.fields, never_null=never)


def update_action(resource: Rows[Any], method: str) -> Action:
    """Return `PUT or PATCH /{key}`: the fields that are sent."""

    async def update(values: BaseModel, request: Request, **given: Any) -> Response:
        """Change the fields that are sent, and no others."""
        key = key_of(given)
        match = read_match(resource, request)
        return tagged_answer(await resource.update(key, values, match=match))

    def takes() -> list[inspect.Parameter]:
        change = strict(resource.update_schema, never_null=resource.never_null)
        key, request = key_parameters(resource), parameter("request", Request)
        return [*key, parameter("values", change), request]

    return Action(
        "update" if method == "PUT" else "patch",
        resource,
        update,
        takes,
        path=key_path(resource),
        methods=[method],
        response_model=Later(lambda: resource.read_schema),
        openapi_extra={"parameters": [IF_MATCH]},
        quick=late(lambda: _quick_change(resource)),
        statuses=(404, 409, 412, 413, 415, 428),
    )


def delete_action(resource: Rows[Any]) -> Action:
    """Return `DELETE /{key}`: marked as deleted, or removed."""

    async def delete(*, hard_delete: bool, request: Request, **given: Any) -> Response:
        """Delete a row; where rows are only marked as deleted, hard_delete removes."""
        key = key_of(given)
        match = read_match(resource, request)
        await resource.delete(key, hard=hard_delete, match=match)
        return Response(status_code=204)

    hard = QueryParameter(description="Remove the row instead of marking it")
    return Action(
        "delete",
        resource,
        delete,
        lambda: [
            *key_parameters(resource),
            parameter("hard_delete", Annotated[bool, hard], default=False),
            parameter("request", Request),
        ],
        path=key_path(resource),
        methods=["DELETE"],
        status_code=204,
        openapi_extra={"parameters": [IF_MATCH]},
        statuses=(404, 409, 412, 428),
    )


def restore_action(resource: Rows[Any]) -> Action:
    """Return `POST /{key}/restore`: the mark of deletion taken back."""

    async def restore(request: Request, **given: Any) -> Response:
        """Take back the mark of deletion."""
        key = key_of(given)
        match = read_match(resource, request)
        return tagged_answer(await resource.restore(key, match=match))

    return Action(
        "restore",
        resource,
        restore,
        lambda: [*key_parameters(resource), parameter("request", Request)],
        path=f"{key_path(resource)}/restore",
        methods=["POST"],
        response_model=Later(lambda: resource.read_schema),
        openapi_extra={"parameters": [IF_MATCH]},
        statuses=(404, 409, 412, 428),
    )
