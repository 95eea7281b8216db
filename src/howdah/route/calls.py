"""How FastAPI would call a dependency, where that is sure.

Knows no parameters. What FastAPI tells in a way of its own, and what it enters and
leaves again instead of calling it, is not for here to say.
"""

import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

__all__ = ("is_awaited",)


def is_awaited(call: Any) -> bool | None:
    """Say whether a dependency is awaited or runs in a thread; None where unsure."""
    if inspect.isclass(call):
        return None if hasattr(call, "__wrapped__") else False
    function = call if isinstance(call, _FUNCTIONS) else _called(call)
    return None if function is None else _is_coroutine(function)


_FUNCTIONS = (FunctionType, MethodType)


def _called(instance: Any) -> Callable[..., Any] | None:
    """Return the method that is called where an instance is, None where unsure."""
    kind = type(instance)
    function = next((vars(it)[_CALL] for it in kind.__mro__ if _CALL in vars(it)), None)
    own = getattr(instance, "__dict__", {})
    # Of an instance that makes up attributes as they are asked for, nothing is sure.
    strange = any(hasattr(instance, name) for name in ("__wrapped__", _MADE_UP))
    if type(function) is not FunctionType or _CALL in own or strange:
        return None
    return function


_CALL = "__call__"
_MADE_UP = "_howdah_asks_for_what_nobody_has"


def _is_coroutine(function: Callable[..., Any]) -> bool | None:
    """Say what FastAPI makes of a function and of what it is wrapped around."""
    try:
        inner = inspect.unwrap(function)
    except ValueError:
        return None
    layers = (function, inner)
    if any(map(_is_strange, layers)):
        return None
    return any(map(inspect.iscoroutinefunction, layers))


def _is_strange(function: Callable[..., Any]) -> bool:
    return (
        not isinstance(function, _FUNCTIONS)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
        # What is called a coroutine function by a mark is told by each in its way.
        or any(hasattr(function, mark) for mark in _MARKS)
    )


_MARKS = ("_is_coroutine", "_is_coroutine_mark", "_is_coroutine_marker")
