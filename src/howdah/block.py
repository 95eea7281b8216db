"""What a function with one `yield` gives: to a `with` block, or step by step.

FastAPI enters and leaves a dependency that is a generator function; a `with` block
wants a context manager. One function may be both. Knows not what it gives.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

__all__ = ("Block", "block")

T = TypeVar("T")
P = ParamSpec("P")


class Block(Generator[T, None, None]):
    """What is given inside a block: `with db.sync_session() as session:`."""

    def __init__(self, steps: Generator[T, None, None]) -> None:
        self._steps = steps
        self._entered = contextmanager(lambda: steps)()

    def __enter__(self) -> T:
        return self._entered.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self._entered.__exit__(kind, error, trace)

    def send(self, value: None) -> T:
        """Go on to the next step, as generators do."""
        return self._steps.send(value)

    def throw(self, *error: Any) -> T:
        """Raise an error at the step, as generators do."""
        return self._steps.throw(*error)


def block(function: Callable[P, Generator[T, None, None]]) -> Callable[P, Block[T]]:
    """Let a function with one `yield` be entered by `with`; FastAPI may take it too."""

    @wraps(function)
    def begun(*args: P.args, **options: P.kwargs) -> Block[T]:
        return Block(function(*args, **options))

    return begun
