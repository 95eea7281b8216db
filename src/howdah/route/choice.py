"""Which of many routes comes first for a path, by one look at it.

A router asks each of its routes in turn. One regular expression of all of them finds
the same one, as long as each matches by its pattern and nothing else.
"""

import re
from collections.abc import Sequence
from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Scope

from howdah.route.strict import StrictRoute

__all__ = ("Choice", "Routes", "found", "is_sure", "path_of")


class Routes(list[BaseRoute]):
    """Routes that know how often one has been added."""

    changes = 0

    def append(self, route: BaseRoute, /) -> None:
        """Add a route."""
        self.changes += 1
        super().append(route)


class Choice:
    """Routes, in the order in which they are asked, at the place where they are.

    They are what FastAPI calls contexts: a route with its prefix and dependencies.
    """

    def __init__(self, contexts: Sequence[Any]) -> None:
        methods = {method for each in contexts for method in each.methods or ()}
        self.all = _First(contexts)
        self._by_method = {
            method: _First(
                [it for it in contexts if method in (it.methods or {method})]
            )
            for method in methods
        }

    def first(self, method: str, path: str) -> Any:
        """Return the route that answers, None where only asking them can tell."""
        routes = self._by_method.get(method)
        return routes and routes.of(path)


class _First:
    def __init__(self, contexts: Sequence[Any]) -> None:
        self._contexts = contexts
        forms = (f"(?P<_{n}>{_form(each)})" for n, each in enumerate(contexts))
        self._match = re.compile(f"(?:{'|'.join(forms)})$").match

    def of(self, path: str) -> Any:
        """Return the first whose pattern matches, or None."""
        match = self._match(path)
        return match and self._contexts[int(str(match.lastgroup)[1:])]


def _form(context: Any) -> str:
    """Return the pattern of a path; a strict route does not mind the last slash."""
    pattern = re.sub(r"\(\?P<\w+>", "(?:", context.path_regex.pattern)
    pattern = pattern.removeprefix("^").removesuffix("$")
    strict = isinstance(context.original_route, StrictRoute)
    return f"{pattern.removesuffix('/')}/?" if strict else pattern


def path_of(scope: Scope) -> str | None:
    """Return the path that routes are matched with, None where it is not plain."""
    if b"%2" in (scope.get("raw_path") or b""):
        # An escaped slash is no separator; see StrictRoute.
        return None
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    # As Starlette has it, where an app is mounted or stands behind a proxy.
    if not root or not path.startswith(root):
        return path
    rest = path[len(root) :]
    return rest if rest[:1] in {"", "/"} else path


def found(context: Any, path: str, scope: Scope) -> Scope:
    """Return what a request's scope has once the route is found for its path."""
    other = path[:-1] if path.endswith("/") else f"{path}/"
    match = context.path_regex.match(path) or context.path_regex.match(other)
    convertors = context.param_convertors
    return {
        "endpoint": context.endpoint,
        "path_params": {
            **scope.get("path_params", {}),
            **{k: convertors[k].convert(v) for k, v in match.groupdict().items()},
        },
        "route": context.original_route,
    }


_BY_PATTERN = {it.matches for it in (APIRoute, Mount, Route, StrictRoute)}


def is_sure(context: Any) -> bool:
    """Say whether a route matches by its pattern alone."""
    return type(context.original_route).matches in _BY_PATTERN
