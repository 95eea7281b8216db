"""How FastAPI would call a dependency: known surely, or not at all."""

from functools import partial, update_wrapper
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest
from fastapi.dependencies.models import (
    _is_async_gen_callable,
    _is_coroutine_callable,
    _is_gen_callable,
)
from fastapi.security import HTTPBearer

from howdah.route.calls import is_awaited


async def coroutine() -> None: ...


async def other() -> None: ...


def function() -> None: ...


async def generator():
    yield


def plain_generator():
    yield


def around(inner: Any, outer: Any) -> Any:
    return update_wrapper(outer, inner)


class Plain:
    def __call__(self) -> None: ...


class Awaited:
    async def __call__(self) -> None: ...


class Yielding:
    def __call__(self):
        yield


class Inherited(Awaited):
    pass


def with_a_call_of_its_own() -> Any:
    made = Plain()
    made.__call__ = coroutine
    return made


def marked() -> Any:
    def call() -> None: ...

    call._is_coroutine_mark = call._is_coroutine = object()
    return call


@pytest.mark.parametrize(
    ("call", "sure"),
    [
        pytest.param(coroutine, True, id="coroutine"),
        pytest.param(function, False, id="function"),
        pytest.param(lambda: None, False, id="lambda"),
        pytest.param(generator, None, id="generator"),
        pytest.param(plain_generator, None, id="plain generator"),
        pytest.param(Plain, False, id="class"),
        pytest.param(Awaited, False, id="class of awaited"),
        pytest.param(Yielding, False, id="class of generators"),
        pytest.param(Plain(), False, id="instance"),
        pytest.param(Awaited(), True, id="awaited instance"),
        pytest.param(Inherited(), True, id="inherited"),
        pytest.param(Yielding(), None, id="yielding instance"),
        pytest.param(with_a_call_of_its_own(), None, id="own call"),
        pytest.param(Awaited().__call__, True, id="method"),
        pytest.param(Plain().__call__, False, id="plain method"),
        pytest.param(around(coroutine, lambda: None), True, id="wrapped"),
        pytest.param(around(function, other), True, id="around"),
        pytest.param(around(generator, lambda: None), None, id="wrapped generator"),
        pytest.param(partial(coroutine), None, id="partial"),
        pytest.param(MagicMock(), None, id="mock"),
        pytest.param(AsyncMock(), None, id="async mock"),
        pytest.param(marked(), None, id="marked"),
        pytest.param(print, None, id="builtin"),
        pytest.param(dict, False, id="builtin class"),
        pytest.param(HTTPBearer(), True, id="scheme"),
    ],
)
def test_nothing_is_surer_of_a_call_than_fastapi(call, sure):
    yields = _is_gen_callable(call) or _is_async_gen_callable(call)

    assert is_awaited(call) is sure
    assert sure is None or (sure is _is_coroutine_callable(call) and not yields)
