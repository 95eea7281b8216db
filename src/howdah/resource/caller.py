"""What there is for who calls: a resource's scope and hooks, solved by FastAPI.

The parameters of `scope`, `before_write` and `after_write` are those of a dependency,
so overrides, security schemes and caches are FastAPI's own.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Annotated, Any

from fastapi import Depends, params
from sqlalchemy import ColumnElement, True_, true
from starlette.concurrency import run_in_threadpool

from howdah.errors import Misconfigured
from howdah.resource.declaration import Declaration
from howdah.resource.hooks import Change, Hook, HookedStore
from howdah.resource.whole import whole_in_address
from howdah.store import Store

__all__ = ("Caller", "is_declared")

Method = Callable[..., Any]
Limit = Callable[[Store], Store]


class Caller:
    """Makes of a resource's store the store of who calls."""

    def __init__(
        self,
        resource: Declaration,
        keys: tuple[str, ...],
        related: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._resource = resource
        self._keys = keys
        self._related = related

    @cached_property
    def is_known(self) -> bool:
        """Whether anything depends on who calls at all."""
        return bool(self._scopes or self._hooks)

    def dependency(
        self, give: Callable[[Limit], Any], *, writes: bool
    ) -> Callable[..., Awaitable[Any]]:
        """Return what FastAPI solves, and then gives a function to the caller's store.

        For what only reads, the hooks' parameters are not asked for.
        """
        scopes = {f"scope_{name}": method for name, method in self._scopes.items()}
        methods = {**scopes, **(self._hooks if writes else {})}

        async def limited(**given: Any) -> Any:
            conditions = {
                name: _condition(await _called(method, given[f"scope_{name}"]), method)
                for name, method in self._scopes.items()
            }
            return give(
                lambda store: self._hooked(
                    _within(store, conditions), given, writes=writes
                )
            )

        if len(methods) == 1 and methods == scopes:
            ((name, method),) = scopes.items()

            # One scope alone has nobody to tell its parameters from.
            async def alone(**given: Any) -> Any:
                return await limited(**{name: given})

            return _taking_as(method, alone)
        parameters = [_solved(name, method) for name, method in methods.items()]
        return _taking(parameters, limited)

    @cached_property
    def _scopes(self) -> Mapping[str, Method]:
        """The methods that say which rows there are: the resource's, the relations'."""
        resources = {"": self._resource, **self._related()}
        return {
            name: resource.scope
            for name, resource in resources.items()
            if is_declared(type(resource), "scope")
        }

    @cached_property
    def _hooks(self) -> Mapping[str, Method]:
        cls = type(self._resource)
        declared = [name for name in _HOOKS if is_declared(cls, name)]
        return {name: getattr(self._resource, name) for name in declared}

    def _hooked(self, store: Store, given: Mapping[str, Any], *, writes: bool) -> Store:
        if not self._hooks:
            return store
        if not writes:
            return HookedStore(store, self._keys, before=_refuse, after=_pass)
        before, after = (
            _hook(self._hooks.get(name), given.get(name, {})) for name in _HOOKS
        )
        return HookedStore(store, self._keys, before=before, after=after)


_HOOKS = ("before_write", "after_write")


def is_declared(cls: type[Declaration], name: str) -> bool:
    """Say whether a resource has a method of its own."""
    return getattr(cls, name) is not getattr(Declaration, name)


def _within(store: Store, conditions: Mapping[str, ColumnElement[bool]]) -> Store:
    limits = {n: c for n, c in conditions.items() if not isinstance(c, True_)}
    if not limits:
        return store
    own = limits.pop("", None)
    return store.within(true() if own is None else own, related=limits)


def _condition(condition: Any, method: Method) -> Any:
    """Return a condition, or raise Misconfigured for what may be a slip."""
    if condition is None or isinstance(condition, bool):
        raise Misconfigured(
            f"{method.__qualname__} returned {condition}; return a condition, and "
            "sqlalchemy.true() for everything or sqlalchemy.false() for nothing"
        )
    return condition


def _solved(name: str, method: Method) -> inspect.Parameter:
    """Return the parameter that FastAPI fills with a method's own parameters."""

    async def solved(**given: Any) -> Mapping[str, Any]:
        return given

    call = _taking_as(method, solved, skipped=1 if name in _HOOKS else 0)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, annotation=Annotated[Any, Depends(call)])


def _taking_as(method: Method, call: Method, *, skipped: int = 0) -> Method:
    """Let FastAPI fill a function with a method's own parameters."""
    own = list(inspect.signature(method).parameters.values())[skipped:]
    # Annotations that are texts mean what they mean where the method stands.
    call.__wrapped__ = method  # type: ignore[attr-defined] # read by inspect.unwrap
    return _taking([*map(_named, own)], call)


def _named(own: inspect.Parameter) -> inspect.Parameter:
    """Return a parameter that reads numbers as strictly as a row's path does."""
    kind, said = inspect.Parameter.KEYWORD_ONLY, own.annotation
    if not isinstance(own.default, params.Depends):
        said = whole_in_address(said)
    return own.replace(kind=kind, annotation=said)


def _taking(parameters: list[inspect.Parameter], call: Method) -> Method:
    signature = inspect.Signature(parameters)
    call.__signature__ = signature  # type: ignore[attr-defined] # read by inspect.signature
    return call


async def _called(method: Method, given: Mapping[str, Any]) -> Any:
    found = method(**given)
    return await found if inspect.isawaitable(found) else found


def _hook(method: Method | None, given: Mapping[str, Any]) -> Hook:
    if method is None:
        return _pass
    if inspect.iscoroutinefunction(method):
        return lambda change: method(change, **given)
    # As FastAPI does with endpoints: a plain function may wait for something.
    return lambda change: run_in_threadpool(method, change, **given)


async def _pass(_change: Change) -> None:
    """Do nothing."""


async def _refuse(change: Change) -> None:
    raise Misconfigured(
        f"a {change.action} comes through a route that reads, whose hooks nobody has "
        "asked for; write from a route that writes"
    )
