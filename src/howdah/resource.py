"""A model behind HTTP: declared as attributes, served as plain FastAPI routes.

Each action is a method that may be overridden alone. This file knows paths, statuses
and schemas; what a row is and where it lives is the store's.
"""

import builtins
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from fastapi import APIRouter, Path, Request, Response
from fastapi import Query as QueryParameter
from pydantic import BaseModel, BeforeValidator, ConfigDict, create_model
from pydantic import Field as Constrained
from sqlalchemy import ARRAY, Column

from howdah import problems
from howdah.database import Database
from howdah.errors import (
    FieldError,
    InvalidQuery,
    Misconfigured,
    PreconditionRequired,
)
from howdah.fast import FastStore
from howdah.models import declared_model, mapped_columns, python_type, relationships
from howdah.paging import OffsetPage, Page, Slice, links, read_page
from howdah.query import Field, Language, Query, nearest
from howdah.route import StrictRoute
from howdah.settings import PageLimits
from howdah.statements import Layout, Target
from howdah.store import Match, Row, Store

__all__ = ("Resource", "ResourceRoute")

M = TypeVar("M")


class ResourceRoute(StrictRoute):
    """A route of a resource."""

    resource: ClassVar["Resource[Any]"]


class Resource(Generic[M]):
    """The rows of one model: `class Items(Resource[Item])`, then `Items(db).router()`.

    Only what is declared can be read or written.
    """

    model: ClassVar[type[Any]]
    create_schema: ClassVar[type[BaseModel]]
    update_schema: ClassVar[type[BaseModel]]
    read_schema: ClassVar[type[BaseModel]]
    search: ClassVar[tuple[str, ...]] = ()
    """Text columns that `GET /search?q=` looks into; without any there is no search."""
    soft_delete: ClassVar[str | None] = None
    """A boolean like `is_active`, or a moment like `deleted_at`."""
    filters: ClassVar[tuple[str, ...]] = ()
    """Fields to filter by, as `price` or, over a relation, `category__name`."""
    sort: ClassVar[tuple[str, ...]] = ()
    """Fields to sort by; the primary key always breaks ties."""
    envelope: ClassVar[bool] = False
    """Answer lists as `{"items", "total", "skip", "limit"}` instead of bare."""
    require_match: ClassVar[bool] = False
    """Refuse changes that do not say by If-Match which version they are meant for."""
    page: ClassVar[PageLimits] = PageLimits()
    batch: ClassVar[int] = 10_000
    """Most rows of one batch."""
    body: ClassVar[int] = 16 * 1024 * 1024
    """Most bytes of a request's body."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        model = declared_model(cls)
        if model is not None:
            cls.model = model

    def __init__(self, db: Database, *, store: Store | None = None) -> None:
        layout = _layout(type(self))
        self.db = db
        self.name: str = self.model.__name__
        self.plural: str = layout.table.name
        self.store = store or FastStore(db, layout, model=self.name)
        self._key = layout.key
        self._language = _language(type(self), layout)
        created = (layout.fields[name] for name in self.create_schema.model_fields)
        # One array a column carries a batch, and arrays of arrays lose their edges.
        self.takes_batches = not any(isinstance(c.type, ARRAY) for c in created)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    async def get(self, key: Any) -> Row:
        """Return one row, or raise NotFound."""
        return await self.store.get(key)

    async def list(self, query: Query, page: Page) -> Slice:
        """Return a page of rows; searches come through here as well."""
        return await self.store.list(query, page)

    async def count(self, query: Query) -> int:
        """Return how many rows a list of all pages would have."""
        return await self.store.count(query)

    async def create(self, values: BaseModel) -> Row:
        """Insert a row."""
        return await self.store.create(values.model_dump())

    async def create_many(self, rows: Sequence[BaseModel]) -> bytes:
        """Insert all rows or none; return their JSON in the order given."""
        return await self.store.create_many([row.model_dump() for row in rows])

    async def update(self, key: Any, values: BaseModel, *, match: Match = None) -> Row:
        """Change the fields that were sent, and no others; see Store.update."""
        sent = values.model_dump(exclude_unset=True)
        return await self.store.update(key, sent, match=match)

    async def delete(self, key: Any, *, hard: bool, match: Match = None) -> None:
        """Mark the row as deleted, or remove it."""
        await self.store.delete(key, hard=hard, match=match)

    async def restore(self, key: Any, *, match: Match = None) -> Row:
        """Take back the mark of deletion."""
        return await self.store.restore(key, match=match)

    def router(self, **options: Any) -> APIRouter:
        """Return the routes; options are those of APIRouter: prefix, tags, ..."""
        members = {"resource": self, "largest_body": self.body}
        route_class = type("Route", (ResourceRoute,), members)
        router = APIRouter(**{"route_class": route_class, **options})
        for action in _actions(self):
            action.add_to(router)
        return router


class _Action:
    """One route: its method and path, what it takes, and what it answers."""

    def __init__(
        self,
        name: str,
        resource: Resource[Any],
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
            builtins.list(self.parameters)
        )
        return signed

    def _summary(self) -> str:
        several = self.name in {"list", "search", "count", "create_many"}
        noun = self.resource.plural if several else _snake(self.resource.name)
        return f"{self.name} {noun}".replace("_", " ").capitalize()


def _actions(resource: Resource[Any]) -> builtins.list[_Action]:
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


def _create(resource: Resource[Any]) -> _Action:
    async def create(values: BaseModel, request: Request) -> Response:
        """Create a row."""
        created = await resource.create(values)
        headers = {"ETag": f'"{created.tag}"'}
        if created.key is not None:
            headers["Location"] = f"{request.url.path.rstrip('/')}/{created.key}"
        return _json(created.body, status=201, headers=headers)

    return _Action(
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


def _create_many(resource: Resource[Any]) -> _Action:
    async def create_many(rows: Sequence[BaseModel]) -> Response:
        """Create all rows or none, in one transaction."""
        return _json(await resource.create_many(rows), status=201)

    rows = Annotated[
        builtins.list[strict(resource.create_schema)],  # type: ignore[misc] # known when it runs
        Constrained(max_length=resource.batch),
    ]
    return _Action(
        "create_many",
        resource,
        create_many,
        _parameter("rows", rows),
        path="/batch",
        methods=["POST"],
        status_code=201,
        response_model=builtins.list[resource.read_schema],  # type: ignore[name-defined] # known when it runs
        statuses=(409, 413, 415),
    )


def _list(resource: Resource[Any]) -> _Action:
    async def list_rows(request: Request) -> Response:
        """List rows."""
        return await _answer_page(resource, request)

    return _Action(
        "list",
        resource,
        list_rows,
        _parameter("request", Request),
        path="/",
        methods=["GET"],
        response_model=_page_model(resource),
        openapi_extra={"parameters": _page_parameters(resource)},
        statuses=(),
    )


def _search(resource: Resource[Any]) -> _Action:
    async def search(q: str, request: Request) -> Response:
        """List the rows that hold the words."""
        return await _answer_page(resource, request, search=q)

    words = QueryParameter(
        min_length=1,
        max_length=_LONGEST_SEARCH,
        description=f"What {', '.join(resource.search)} has to hold",
    )
    return _Action(
        "search",
        resource,
        search,
        _parameter("q", Annotated[str, words]),
        _parameter("request", Request),
        path="/search",
        methods=["GET"],
        response_model=_page_model(resource),
        openapi_extra={"parameters": _page_parameters(resource)},
        statuses=(),
    )


_LONGEST_SEARCH = 1000


async def _answer_page(
    resource: Resource[Any], request: Request, *, search: str | None = None
) -> Response:
    pairs = request.query_params.multi_items()
    own = {"limit", "skip", "cursor", *({"q"} if search is not None else ())}
    given = _grouped(resource, pairs, own)
    query = resource._language.read(given, search=search)  # noqa: SLF001 - the same file
    if resource.envelope and query.count is None:
        query = replace(query, count="exact")
    page = read_page(given, resource.page, query)
    found = await resource.list(query, page)
    headers = {}
    if link := links(request.url.path, pairs, page, found, query):
        headers["Link"] = link
    if found.total is not None:
        headers["X-Total-Count"] = str(found.total)
    body = _enveloped(page, found) if resource.envelope else found.body
    return _json(body, headers=headers)


def _grouped(
    resource: Resource[Any], pairs: Iterable[tuple[str, str]], own: set[str]
) -> dict[str, builtins.list[str]]:
    """Return the parameters by name; raise InvalidQuery where one is not known."""
    known = own.union(resource._language.names)  # noqa: SLF001 - the same file
    given: dict[str, builtins.list[str]] = {}
    for name, text in pairs:
        given.setdefault(name, []).append(text)
    faults = tuple(
        FieldError(
            field=name,
            code=InvalidQuery.code,
            message=f"is no parameter here{nearest(name, known)}",
        )
        for name in given
        if name not in known
    )
    if faults:
        raise InvalidQuery(errors=faults)
    return given


def _enveloped(page: Page, found: Slice) -> bytes:
    skip = page.skip if isinstance(page, OffsetPage) else 0
    total = found.total or 0
    counts = b',"total":%d,"skip":%d,"limit":%d}' % (total, skip, page.limit)
    return b'{"items":' + found.body + counts


def _page_model(resource: Resource[Any]) -> Any:
    rows: Any = builtins.list[resource.read_schema]  # type: ignore[name-defined] # known when it runs
    if not resource.envelope:
        return rows
    fields: Any = {"items": (rows, ...)}
    fields |= dict.fromkeys(("total", "skip", "limit"), (int, ...))
    return create_model(f"{resource.name}Page", **fields)


class Total(BaseModel):
    """How many rows there are."""

    total: int


def _count(resource: Resource[Any]) -> _Action:
    async def count(request: Request) -> Response:
        """Count rows."""
        given = _grouped(resource, request.query_params.multi_items(), set())
        total = await resource.count(resource._language.read(given))  # noqa: SLF001 - the same file
        return _json(b'{"total": %d}' % total)

    return _Action(
        "count",
        resource,
        count,
        _parameter("request", Request),
        path="/count",
        methods=["GET"],
        response_model=Total,
        openapi_extra={"parameters": _filter_parameters(resource)},
        statuses=(),
    )


def _get(resource: Resource[Any], path: str) -> _Action:
    async def get(request: Request, **given: Any) -> Response:
        """Get one row; If-None-Match with its ETag answers 304."""
        (key,) = given.values()
        return _tagged(await resource.get(key), request)

    return _Action(
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


def _update(resource: Resource[Any], path: str, method: str) -> _Action:
    async def update(values: BaseModel, request: Request, **given: Any) -> Response:
        """Change the fields that are sent, and no others."""
        (key,) = given.values()
        match = _match(resource, request)
        return _tagged(await resource.update(key, values, match=match))

    return _Action(
        "update" if method == "PUT" else "patch",
        resource,
        update,
        _key_parameter(resource),
        _parameter("values", strict(resource.update_schema)),
        _parameter("request", Request),
        path=path,
        methods=[method],
        response_model=resource.read_schema,
        openapi_extra={"parameters": [_IF_MATCH]},
        statuses=(404, 409, 412, 413, 415, 428),
    )


def _delete(resource: Resource[Any], path: str) -> _Action:
    async def delete(*, hard_delete: bool, request: Request, **given: Any) -> Response:
        """Delete a row; where rows are only marked as deleted, hard_delete removes."""
        (key,) = given.values()
        match = _match(resource, request)
        await resource.delete(key, hard=hard_delete, match=match)
        return Response(status_code=204)

    hard = QueryParameter(description="Remove the row instead of marking it")
    return _Action(
        "delete",
        resource,
        delete,
        _key_parameter(resource),
        _parameter("hard_delete", Annotated[bool, hard], default=False),
        _parameter("request", Request),
        path=path,
        methods=["DELETE"],
        status_code=204,
        openapi_extra={"parameters": [_IF_MATCH]},
        statuses=(404, 409, 412, 428),
    )


def _restore(resource: Resource[Any], path: str) -> _Action:
    async def restore(request: Request, **given: Any) -> Response:
        """Take back the mark of deletion."""
        (key,) = given.values()
        match = _match(resource, request)
        return _tagged(await resource.restore(key, match=match))

    return _Action(
        "restore",
        resource,
        restore,
        _key_parameter(resource),
        _parameter("request", Request),
        path=f"{path}/restore",
        methods=["POST"],
        response_model=resource.read_schema,
        openapi_extra={"parameters": [_IF_MATCH]},
        statuses=(404, 409, 412, 428),
    )


_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The ETag of the version that the change is meant for",
}
# A list of entity tags: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def _match(resource: Resource[Any], request: Request) -> Match:
    """Return the versions that If-Match names; weak tags never match (RFC 9110)."""
    given = request.headers.get("if-match")
    if given is None:
        if resource.require_match:
            raise PreconditionRequired
        return None
    if given.strip() == "*":
        return None
    return tuple(tag for weak, tag in _TAG.findall(given) if not weak)


def _tagged(row: Row, request: Request | None = None) -> Response:
    headers = {"ETag": f'"{row.tag}"'}
    known = request.headers.get("if-none-match") if request else None
    if known is not None and (
        known.strip() == "*" or row.tag in {tag for _, tag in _TAG.findall(known)}
    ):
        return Response(status_code=304, headers=headers)
    return _json(row.body, headers=headers)


_WHOLE = re.compile(r"-?[0-9]+\Z", re.ASCII)


def strict(schema: type[BaseModel]) -> type[BaseModel]:
    """Return the schema so that it refuses fields it does not know.

    A schema that says itself what becomes of them is left as it is.
    """
    if "extra" in schema.model_config:
        return schema
    config = ConfigDict(extra="forbid")
    namespace = {"model_config": config, "__module__": schema.__module__}
    return type(schema.__name__, (schema,), {**namespace, "__doc__": schema.__doc__})


def _whole(value: object) -> object:
    """Refuse what `int` would take as well: `1_0`, ` 1`, `1.0`."""
    if isinstance(value, str) and not _WHOLE.match(value):
        raise ValueError("has to be a whole number, digits only")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]


def _parameter(
    name: str, annotation: Any, *, default: Any = inspect.Parameter.empty
) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _key_parameter(resource: Resource[Any]) -> inspect.Parameter:
    kind = python_type(resource._key.type)  # noqa: SLF001 - the same file
    annotation: Any = Whole if kind is int else kind
    return _parameter(f"{_snake(resource.name)}_id", Annotated[annotation, Path()])


def _page_parameters(resource: Resource[Any]) -> builtins.list[dict[str, Any]]:
    limits = resource.page
    limit = {"minimum": 1, "maximum": limits.maximum, "default": limits.default}
    return [
        *resource._language.parameters(),  # noqa: SLF001 - the same file
        _described("skip", "Rows to pass over", minimum=0, maximum=limits.skip),
        _described("limit", "Most rows to give", **limit),
        {
            "name": "cursor",
            "in": "query",
            "required": False,
            "schema": {"type": "string"},
            "description": "Where to go on, as a Link of an answer says",
        },
    ]


def _filter_parameters(resource: Resource[Any]) -> builtins.list[dict[str, Any]]:
    described = resource._language.parameters()  # noqa: SLF001 - the same file
    return [each for each in described if each["name"] not in {"sort", "count"}]


def _described(name: str, description: str, **bounds: int) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": {"type": "integer", **bounds},
        "description": description,
    }


def _json(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(body, status, headers, media_type="application/json")


def _snake_path(path: str) -> str:
    """Return a path as a name: one model may be served in several places."""
    return re.sub(r"[^a-zA-Z0-9]+", "_", path).strip("_")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _layout(cls: type[Resource[Any]]) -> Layout:
    """Read the declaration, or raise Misconfigured that says what it lacks."""
    for needed in ("model", "create_schema", "update_schema", "read_schema"):
        if not hasattr(cls, needed):
            raise Misconfigured(f"{cls.__name__} has no {needed}; declare it")
    fields = mapped_columns(cls.model)
    for schema in (cls.create_schema, cls.update_schema):
        _columns(cls, schema.__name__, schema.model_fields, fields)
    shown = {
        info.serialization_alias or name: name
        for name, info in cls.read_schema.model_fields.items()
    }
    found = _columns(cls, cls.read_schema.__name__, shown.values(), fields)
    return Layout(
        table=cls.model.__table__,
        columns=dict(zip(shown, found, strict=True)),
        fields=fields,
        search=_columns(cls, "search", cls.search, fields),
        soft_delete=fields[cls.soft_delete] if cls.soft_delete else None,
        filters={name: _target(cls, name, fields) for name in cls.filters},
    )


def _language(cls: type[Resource[Any]], layout: Layout) -> Language:
    shown = set(layout.columns.values())
    hidden = [n for n in cls.sort if layout.fields.get(n) not in shown]
    if layout.key not in shown or hidden:
        names = ", ".join(hidden) or layout.key.name
        raise Misconfigured(
            f"{cls.__name__}: pages are in the order of {names}, which "
            f"{cls.read_schema.__name__} does not show; add it there"
        )
    return Language(
        filters=[
            Field(name=name, annotation=python_type(target.column.type))
            for name, target in layout.filters.items()
        ],
        sort=cls.sort,
        soft_delete=cls.soft_delete is not None,
    )


def _target(
    cls: type[Resource[Any]], name: str, fields: Mapping[str, Column[Any]]
) -> Target:
    """Return what a filter compares: a column, or one behind a relation."""
    relation, _, reached = name.partition("__")
    if not reached:
        (column,) = _columns(cls, "filters", (name,), fields)
        return Target(column=column)
    relations = relationships(cls.model)
    if relation not in relations:
        raise Misconfigured(
            f"{cls.__name__}: filters names {name}, but {cls.model.__name__} has no "
            f"relation {relation}; it has {', '.join(relations) or 'none'}"
        )
    there = mapped_columns(relations[relation])
    (column,) = _columns(cls, "filters", (reached,), there)
    return Target(column=column, via=getattr(cls.model, relation))


def _columns(
    cls: type[Resource[Any]],
    where: str,
    names: Any,
    fields: Mapping[str, Column[Any]],
) -> tuple[Column[Any], ...]:
    unknown = [name for name in names if name not in fields]
    if unknown:
        raise Misconfigured(
            f"{cls.__name__}: {where} names {', '.join(unknown)}, which "
            f"{cls.model.__name__} has not; it has {', '.join(fields)}"
        )
    return tuple(fields[name] for name in names)
