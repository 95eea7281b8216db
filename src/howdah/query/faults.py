"""What is wrong with a request, collected, so that a client hears all of it at once."""

import difflib
from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import ValidationError

from howdah.errors import FieldError, InvalidQuery

__all__ = ("Faults", "nearest")

T = TypeVar("T")


class Faults:
    """The faults of one request, by the names of its parameters."""

    def __init__(self) -> None:
        self._found: list[FieldError] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, name: str, message: str) -> None:
        """Add a fault of a parameter."""
        error = FieldError(field=name, code=InvalidQuery.code, message=message)
        self._found.append(error)

    def reading(self, name: str, read: Callable[[], T]) -> T | None:
        """Return what is read, or None where that fails: its reason is a fault."""
        try:
            return read()
        except ValidationError as exc:
            first = exc.errors(include_input=False, include_url=False)[0]
            where = [part + 1 for part in first["loc"][:1] if isinstance(part, int)]
            message = "".join(f"value {number}: " for number in where) + first["msg"]
        except ValueError as exc:
            message = str(exc)
        self.add(name, message.replace("Value error, ", "", 1))
        return None

    def check(self) -> None:
        """Raise InvalidQuery with every fault, where there is any."""
        if self._found:
            raise InvalidQuery(errors=tuple(self._found))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the names that may have been meant, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""
