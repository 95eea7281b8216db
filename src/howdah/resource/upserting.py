"""The routes that put rows: new ones inserted, known ones changed."""

import inspect
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import BaseModel
from pydantic import Field as Constrained

from howdah.resource.action import Action, parameter, rows_model
from howdah.resource.bodies import Read, late, quick_rows
from howdah.resource.rows import Rows
from howdah.resource.wire import created_answer, json_answer
from howdah.route import Later
from howdah.schemas import strict

__all__ = ("put_action", "put_many_action")


def put_action(resource: Rows[Any]) -> Action:
    """Return `PUT /`: a row inserted, or the known one changed."""

    async def put(values: BaseModel, request: Request) -> Response:
        """Create a row, or change the one that is known by its unique fields.

        A known row changes in the fields that are sent, as far as an update may.
        """
        row = await resource.put(values)
        return created_answer(row, request, status=201 if row.created else 200)

    return Action(
        "put",
        resource,
        put,
        lambda: [
            parameter("values", strict(resource.create_schema)),
            parameter("request", Request),
        ],
        path="/",
        methods=["PUT"],
        response_model=Later(lambda: resource.read_schema),
        responses={201: {"model": resource.read_schema}},
        statuses=(409, 413, 415),
    )


def put_many_action(resource: Rows[Any]) -> Action:
    """Return `PUT /batch`: many rows inserted, or the known ones changed."""

    async def put_many(rows: Sequence[BaseModel]) -> Response:
        """Create each row, or change the known one; all rows or none."""
        return json_answer(await resource.put_many(rows))

    def takes() -> list[inspect.Parameter]:
        schema: Any = strict(resource.create_schema)
        rows = Annotated[list[schema], Constrained(max_length=resource.batch)]
        return [parameter("rows", rows)]

    return Action(
        "put_many",
        resource,
        put_many,
        takes,
        path="/batch",
        methods=["PUT"],
        response_model=Later(lambda: rows_model(resource)),
        quick=late(lambda: _quick(resource)),
        statuses=(409, 413, 415),
    )


def _quick(resource: Rows[Any]) -> Read | None:
    """Return what reads rows at once; they are looked at for how they are known."""
    if type(resource).put_many is not Rows.put_many:
        return None
    schema, fields = resource.create_schema, resource.fields
    return quick_rows(schema, fields, most=resource.batch, asked=True)
