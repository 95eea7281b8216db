"""The routes of relations of many to many: their ids listed, set, added, removed."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from fastapi import Body, Request, Response
from fastapi import Query as QueryParameter

from howdah.errors import FieldError, Invalid
from howdah.models import python_type
from howdah.resource.action import Action, key_of, key_parameters, key_path, parameter
from howdah.resource.rows import Rows
from howdah.resource.whole import Whole, WholeNumber
from howdah.resource.wire import (
    IF_MATCH,
    LONGEST_IN_ADDRESS,
    json_answer,
    read_match,
)
from howdah.route import Later
from howdah.store import Change

__all__ = ("relation_actions",)

_CHANGES: dict[Change, tuple[str, str]] = {
    "set": ("PUT", "Relate a row to those with these ids, and to no others."),
    "add": ("POST", "Relate a row to those with these ids as well."),
    "remove": ("DELETE", "Relate a row to those with these ids no more."),
}


def relation_actions(resource: Rows[Any]) -> Iterable[Action]:
    """Yield the routes of each relation that is declared."""
    for name in resource.relations:
        yield _list_action(resource, name)
        for change in _CHANGES:
            yield _change_action(resource, name, change)


def _list_action(resource: Rows[Any], relation: str) -> Action:
    async def list_ids(**given: Any) -> Response:
        """List the ids of the rows that a row is related to."""
        return json_answer(await resource.related(key_of(given), relation))

    kind: Any = python_type(resource.links[relation].other.type)
    return Action(
        f"list_{relation}",
        resource,
        list_ids,
        lambda: key_parameters(resource),
        kind="related",
        path=f"{key_path(resource)}/{relation}",
        methods=["GET"],
        response_model=Later(lambda: list[kind]),
        statuses=(404,),
    )


def _change_action(resource: Rows[Any], relation: str, change: Change) -> Action:
    method, summary = _CHANGES[change]

    async def relate(
        *,
        ids: Sequence[Any] | None = None,
        also: Sequence[Any] | None = None,
        request: Request,
        **given: Any,
    ) -> Response:
        chosen = _chosen(ids, also)
        match = read_match(resource, request)
        key = key_of(given)
        tag = await resource.relate(key, relation, change, chosen, match=match)
        return Response(status_code=204, headers={"ETag": f'"{tag}"'})

    relate.__doc__ = summary
    kind: Any = python_type(resource.links[relation].other.type)
    number: Any = WholeNumber if kind is int else kind
    body = Annotated[list[number], Body(max_length=resource.batch)]
    return Action(
        f"{change}_{relation}",
        resource,
        relate,
        lambda: [
            *_ids(body, kind, change),
            *key_parameters(resource),
            parameter("request", Request),
        ],
        kind="relate",
        path=f"{key_path(resource)}/{relation}",
        methods=[method],
        status_code=204,
        openapi_extra={"parameters": [IF_MATCH]},
        statuses=(404, 409, 412, 413, 415, 428),
    )


def _ids(body: Any, kind: Any, change: Change) -> Iterable[inspect.Parameter]:
    """Yield the parameters for ids; some clients drop the body of a DELETE."""
    if change != "remove":
        yield parameter("ids", body)
        return
    plain: Any = Whole if kind is int else kind
    repeated = QueryParameter(alias="id", max_length=LONGEST_IN_ADDRESS)
    yield parameter("ids", body, default=None)
    yield parameter("also", Annotated[list[plain], repeated], default=None)


def _chosen(ids: Sequence[Any] | None, also: Sequence[Any] | None) -> Sequence[Any]:
    """Return the ids, from one place; raise Invalid without any or with two."""
    if (ids is None) is (also is None):
        message = "has to be given, in the body or as a parameter"
        fault = FieldError(field="id", code=Invalid.code, message=message)
        raise Invalid(errors=(fault,))
    return ids if ids is not None else also or ()
