"""What a route runs: parameters given as a list, and a Response for an answer."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import Response

__all__ = ("Endpoint",)


class Endpoint:
    """An endpoint whose parameters are given as a list, and that answers a Response."""

    def __init__(
        self,
        run: Callable[..., Awaitable[Response]],
        parameters: Sequence[inspect.Parameter],
        *,
        name: str,
        quick: Callable[[bytes], Any] | None = None,
    ) -> None:
        self.run = run
        self.quick = quick
        """Reads a body as FastAPI would, or returns None for one that it leaves."""
        self.__signature__ = inspect.Signature(parameters)
        self.__name__ = name
        self.__doc__ = run.__doc__

    async def __call__(self, **given: Any) -> Response:
        """Answer, with what FastAPI has solved."""
        return await self.run(**given)
