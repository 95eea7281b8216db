"""The routes that change and delete many rows by their keys: all or none."""

import inspect
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Body, Response
from fastapi import Query as QueryParameter
from pydantic import BaseModel, ConfigDict, create_model
from pydantic import Field as Constrained

from howdah.errors import FieldError, Invalid
from howdah.models import python_type
from howdah.resource.action import Action, parameter, rows_model
from howdah.resource.bodies import Read, late, quick_changes
from howdah.resource.rows import Rows
from howdah.resource.whole import Whole, WholeNumber
from howdah.resource.wire import (
    LONGEST_IN_ADDRESS,
    json_answer,
)
from howdah.route import Later
from howdah.schemas import strict

__all__ = ("delete_many_action", "update_many_action")


def update_many_action(resource: Rows[Any]) -> Action:
    """Return `PATCH /batch`: the fields that each row sends beside its key."""

    async def update_many(rows: Sequence[BaseModel]) -> Response:
        """Change in each row the fields that it sends; all rows or none."""
        return json_answer(await resource.update_many(rows))

    def takes() -> list[inspect.Parameter]:
        change = strict(resource.update_schema, never_null=resource.never_null)
        schema: Any = _with_key(resource, change)
        rows = Annotated[list[schema], Constrained(max_length=resource.batch)]
        return [parameter("rows", rows)]

    return Action(
        "update_many",
        resource,
        update_many,
        takes,
        path="/batch",
        methods=["PATCH"],
        response_model=Later(lambda: rows_model(resource)),
        quick=late(lambda: _quick(resource)),
        statuses=(404, 409, 413, 415),
    )


def _quick(resource: Rows[Any]) -> Read | None:
    """Return what reads changes at once; rows are looked at for their keys."""
    if type(resource).update_many is not Rows.update_many:
        return None
    kinds: dict[str, Any] = {
        n: (python_type(it.type), ...) for n, it in resource.keys.items()
    }
    base = resource.update_schema
    schema: Any = create_model(f"{base.__name__}InBatch", __base__=base, **kinds)
    return quick_changes(
        schema,
        resource.fields,
        most=resource.batch,
        never_null=resource.never_null,
    )


def delete_many_action(resource: Rows[Any]) -> Action:
    """Return `DELETE /batch`: rows marked as deleted, or removed, by their keys."""

    async def delete_many(
        *,
        keys: Sequence[Any] | None,
        hard_delete: bool,
        given: Sequence[Any] | None = None,
    ) -> Response:
        """Delete the rows with these keys; all of them or none.

        The keys are the body, a list; some clients and proxies drop the body of a
        DELETE, and may give them as parameters.
        """
        chosen = _chosen(resource, keys, given)
        await resource.delete_many(chosen, hard=hard_delete)
        return Response(status_code=204)

    return Action(
        "delete_many",
        resource,
        delete_many,
        lambda: _deleted(resource),
        path="/batch",
        methods=["DELETE"],
        status_code=204,
        statuses=(404, 409, 413, 415),
    )


def _deleted(resource: Rows[Any]) -> list[inspect.Parameter]:
    """Return the parameters that say which rows, and how they are deleted."""
    key: Any = _key_type(resource)
    # Objects that are not alike may name the same row yet.
    unique = {"uniqueItems": True} if len(resource.keys) == 1 else None
    bounds = Body(min_length=1, max_length=resource.batch, json_schema_extra=unique)
    hard = QueryParameter(description="Remove the rows instead of marking them")
    return [
        parameter("keys", Annotated[list[key], bounds], default=None),
        *_key_parameter(resource),
        parameter("hard_delete", Annotated[bool, hard], default=False),
    ]


def _with_key(resource: Rows[Any], schema: type[BaseModel]) -> type[BaseModel]:
    """Return the schema of a row that says by its key which one it is."""
    return create_model(
        f"{schema.__name__}InBatch",
        __base__=schema,
        __doc__=schema.__doc__,
        **_key_members(resource),
    )


def _key_type(resource: Rows[Any]) -> Any:
    """Return the type of a key in JSON: a value, or an object of several."""
    members = _key_members(resource)
    if len(members) == 1:
        return next(iter(members.values()))[0]
    forbid = ConfigDict(extra="forbid")
    return create_model(f"{resource.name}Key", __config__=forbid, **members)


def _key_members(resource: Rows[Any]) -> dict[str, Any]:
    kinds = {name: python_type(column.type) for name, column in resource.keys.items()}
    return {
        name: (WholeNumber if kind is int else kind, ...)
        for name, kind in kinds.items()
    }


def _key_parameter(resource: Rows[Any]) -> Any:
    """Yield the parameter for keys in the address, where they have one column."""
    if len(resource.keys) > 1:
        return
    ((name, column),) = resource.keys.items()
    kind: Any = python_type(column.type)
    segment: Any = Whole if kind is int else kind
    repeated = QueryParameter(
        alias=name,
        max_length=LONGEST_IN_ADDRESS,
        json_schema_extra={"uniqueItems": True},
        description="Keys of rows, where they are not in the body",
    )
    yield parameter("given", Annotated[list[segment], repeated], default=None)


def _chosen(
    resource: Rows[Any], keys: Sequence[Any] | None, given: Sequence[Any] | None
) -> Sequence[Any]:
    """Return the keys, from one place; raise Invalid without any or with two."""
    if (keys is None) is (given is None):
        raise Invalid(
            errors=tuple(
                FieldError(
                    field=name,
                    code=Invalid.code,
                    message="has to be given, in the body or as a parameter",
                )
                for name in resource.keys
            )
        )
    return [_plain(key) for key in (keys if keys is not None else given or ())]


def _plain(key: Any) -> Any:
    return tuple(key.model_dump().values()) if isinstance(key, BaseModel) else key
