"""Trees of dependencies as chance grows them, solved on both ways."""

import inspect
import random
from contextvars import ContextVar
from typing import Annotated, Any

import pytest
from fastapi import (
    Cookie,
    Depends,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    params,
)
from starlette.requests import HTTPConnection
from ways import Log, answers_of, on_the_router

pytestmark = pytest.mark.anyio

current: ContextVar[str] = ContextVar("current", default="nobody")


class Grown:
    """Dependencies that depend on each other, and on the request, as chance has it."""

    def __init__(self, seed: int, log: Log) -> None:
        self.random = random.Random(seed)
        self.log = log
        self.made: list[Any] = []

    def roots(self) -> list[Any]:
        return [self.dependency(depth=3) for _ in range(self.random.randint(1, 3))]

    def dependency(self, depth: int) -> Any:
        """Return a dependency, perhaps one that others have as well."""
        if self.made and self.random.random() < 0.3:
            return self.random.choice(self.made)
        parameters = [self.parameter(depth) for _ in range(self.random.randint(0, 3))]
        called = self.random.choice((self.awaited, self.plain, self.kind, self.object))
        made = called(f"d{len(self.made)}", parameters)
        self.made.append(made)
        return made

    def parameter(self, depth: int) -> Any:
        if depth and self.random.random() < 0.6:
            cached = self.random.random() < 0.8
            return Depends(self.dependency(depth - 1), use_cache=cached)
        return self.random.choice(TAKEN)

    def signed(self, call: Any, parameters: list[Any]) -> Any:
        """Give a function a signature, as a decorator would."""
        given = [
            inspect.Parameter(
                f"p{number}", inspect.Parameter.KEYWORD_ONLY, annotation=annotation
            )
            for number, annotation in enumerate(
                Annotated[Any, it] if isinstance(it, params.Depends) else it
                for it in parameters
            )
        ]
        call.__signature__ = inspect.Signature(given)
        return call

    def note(self, name: str, given: dict[str, Any]) -> Any:
        """Remember a call; raise where the request says that this one should."""
        seen = [told(it) for it in given.values()]
        self.log.note(name, *seen, current.get())
        for it in given.values():
            if isinstance(it, Request) and it.headers.get("x-fail") == name:
                raise HTTPException(403, name)
            if isinstance(it, Response):
                it.headers[name] = "1"
        return f"{name} {len(self.log)}"

    def awaited(self, name: str, parameters: list[Any]) -> Any:
        async def call(**given: Any) -> Any:
            before = self.note(name, given)
            current.set(name)
            return before

        return self.signed(call, parameters)

    def plain(self, name: str, parameters: list[Any]) -> Any:
        def call(**given: Any) -> Any:
            current.set(name)
            return self.note(name, given)

        return self.signed(call, parameters)

    def kind(self, name: str, parameters: list[Any]) -> Any:
        grown = self

        class Call:
            def __init__(self, **given: Any) -> None:
                self.said = grown.note(name, given)

        return self.signed(Call, parameters)

    def object(self, name: str, parameters: list[Any]) -> Any:
        grown = self

        class Call:
            async def __call__(self, **given: Any) -> Any:
                return grown.note(name, given)

        return self.signed(Call(), parameters)


TAKEN = (
    Request,
    HTTPConnection,
    Response,
    Annotated[int, Query(alias="level", ge=0)],
    Annotated[int | None, Header(alias="x-level")],
    Annotated[list[str], Query(alias="tag")],
    Annotated[str, Cookie(alias="session")],
    Annotated[str, Header(alias="x-name")],
)


def told(value: Any) -> Any:
    """Return what can be compared of a value that a dependency was given."""
    if isinstance(value, HTTPConnection):
        return ("request", value.path_params)
    if isinstance(value, Response):
        return ("response", dict(value.headers))
    return getattr(value, "said", value)


GOOD = '{"name": "notebook", "price": 1}'
ALL = {"x-level": "4", "x-name": "ada", "cookie": "session=1"}
BODY = ALL | {"content-type": "application/json"}
SAID = [
    ("POST", "/items/?level=1&tag=a", BODY, GOOD),
    ("GET", "/items/1?level=1&tag=a&tag=b", ALL, ""),
    ("GET", "/items/1?level=1&tag=a", ALL | {"x-level": "a"}, ""),
    ("GET", "/items/1?tag=a", ALL, ""),
    ("GET", "/items/1", {}, ""),
    ("GET", "/items/one?level=1&tag=a", ALL, ""),
    ("POST", "/items/?level=a&tag=a", BODY, "{}"),
    *(
        ("GET", "/items/1?level=1&tag=a", ALL | {"x-fail": f"d{n}"}, "")
        for n in range(4)
    ),
]


@pytest.mark.parametrize("seed", range(60))
async def test_trees_of_any_form_are_solved_alike(seed):
    attach = on_the_router(lambda log: Grown(seed, log).roots())

    current.set("nobody")
    early, ways = await answers_of("early", attach, SAID)
    current.set("nobody")
    whole, _ = await answers_of("whole", attach, SAID)

    assert early == whole
    assert any(called for _, _, called in early)
    assert "whole" not in ways
