"""One route of a resource: what it takes and answers, and what OpenAPI says of it."""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from fastapi.datastructures import Default
from sqlalchemy import Column

from howdah import problems
from howdah.models import python_type
from howdah.resource.access import groups, permissions
from howdah.resource.rows import Rows
from howdah.resource.whole import Whole
from howdah.route import Endpoint, LateRoute, asks_who, now

__all__ = ("Action", "key_of", "key_parameters", "key_path", "parameter", "rows_model")


_CALLER = "__caller"

Answer = Callable[..., Awaitable[Response]]


class Action:
    """One route: its method and path, what it takes, and what it answers."""

    def __init__(
        self,
        name: str,
        resource: Rows[Any],
        endpoint: Answer,
        takes: Callable[[], Sequence[inspect.Parameter]],
        **route: Any,
    ) -> None:
        self.name = name
        self.kind: str = route.pop("kind", name)
        """What it is called in `access`, where a name is made of a relation's."""
        self.resource = resource
        self.takes = takes
        """Its parameters, of types that are not made before somebody asks."""
        self.endpoint = endpoint
        self.quick: Callable[[bytes], Any] | None = route.pop("quick", None)
        """Reads a body of the usual kind, see `route.Endpoint`."""
        self.route = route

    def add_to(self, router: APIRouter) -> None:
        """Register the route, under a name that stays the same for clients."""
        statuses = self.route.pop("statuses")
        asked = permissions(type(self.resource), self.kind)
        if self._is_personal and self._writes:
            # A row does not leave its scope.
            statuses = (*statuses, 403)
        responses = self.route.pop("responses", {})
        place = _snake_path(router.prefix) or self.resource.plural
        options = self.route
        if router.route_class.__init__ is not LateRoute.__init__:
            # A class that looks at the options of its routes gets them worked out.
            options = now(options)
        router.add_api_route(
            endpoint=self._signed(),
            # A default: a function of one's own, on the app or a router, goes first.
            generate_unique_id_function=Default(lambda _: f"{place}_{self.name}"),
            summary=self._summary(),
            responses={**problems.responses(*statuses, 422, 503), **responses},
            dependencies=asked,
            **options,
        )
        route: Any = router.routes[-1]
        if asks_who(route):
            route.responses.update(problems.responses(401, 403))

    @property
    def _writes(self) -> bool:
        return "write" in groups(self.kind)

    @property
    def _is_personal(self) -> bool:
        """Whether the answer depends on who calls."""
        return self.resource.caller.is_known

    def _signed(self) -> Endpoint:
        """Return the endpoint with the signature that FastAPI reads."""
        run, resource = self.endpoint, self.resource
        solved: tuple[inspect.Parameter, ...] = ()
        if self._is_personal:
            limited = Depends(resource.solving(writes=self._writes))
            solved = (parameter(_CALLER, Annotated[Any, limited]),)
            run = _called(resource, run)
        name = f"{self.name}_{self.resource.plural}"
        return Endpoint(run, self.takes, name=name, solved=solved, quick=self.quick)

    def _summary(self) -> str:
        several = self.name in _SEVERAL
        noun = self.resource.plural if several else _snake(self.resource.name)
        return f"{self.name} {noun}".replace("_", " ").capitalize()


def _called(resource: Rows[Any], run: Answer) -> Answer:
    """Return an endpoint that answers with the rows that there are for who calls."""

    async def called(**given: Any) -> Response:
        with resource.calling(given.pop(_CALLER)):
            return await run(**given)

    called.__doc__ = run.__doc__
    return called


_SEVERAL = frozenset(
    {
        "count",
        "create_many",
        "delete_many",
        "list",
        "put_many",
        "query",
        "search",
        "update_many",
    }
)


def parameter(
    name: str, annotation: Any, *, default: Any = inspect.Parameter.empty
) -> inspect.Parameter:
    """Return a parameter for the signature that FastAPI reads."""
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def key_path(resource: Rows[Any]) -> str:
    """Return the path of one row: a segment for each column of its key."""
    return "".join(f"/{{{name}}}" for name in _key_names(resource))


def key_parameters(resource: Rows[Any]) -> list[inspect.Parameter]:
    """Return the parameters of a row's path."""
    return [
        parameter(name, Annotated[_segment(python_type(column.type)), Path()])
        for name, column in _key_names(resource).items()
    ]


def key_of(given: Mapping[str, Any]) -> Any:
    """Return the key that a path holds: a value, or a tuple where it has several."""
    values = tuple(given.values())
    return values if len(values) > 1 else values[0]


def rows_model(resource: Rows[Any]) -> Any:
    """Return the type of a list of rows."""
    schema: Any = resource.read_schema
    return list[schema]


def _key_names(resource: Rows[Any]) -> Mapping[str, Column[Any]]:
    """Return the key's columns by the names that they have in a path."""
    if len(resource.keys) > 1:
        return resource.keys
    (column,) = resource.keys.values()
    return {f"{_snake(resource.name)}_id": column}


def _segment(kind: type[Any]) -> Any:
    return Whole if kind is int else kind


def _snake_path(path: str) -> str:
    """Return a path as a name: one model may be served in several places."""
    return re.sub(r"[^a-zA-Z0-9]+", "_", path).strip("_")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
