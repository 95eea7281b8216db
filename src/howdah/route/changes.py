"""What is changed on routes, routers and lists of ours: counted, for who knew them.

Whoever has looked at one of them keeps the count of then. As long as it is the same,
nobody has assigned an attribute, a method or a route since.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

__all__ = ("Changes", "Noticed", "NoticedList")


class Changes:
    """The number of changes so far, of all routes of the process."""

    count = 0


class _NoticedType(type):
    """A class that notices when a method of it is replaced."""

    def __setattr__(cls, name: str, value: Any) -> None:
        Changes.count += 1
        super().__setattr__(name, value)

    def __delattr__(cls, name: str) -> None:
        Changes.count += 1
        super().__delattr__(name)


class Noticed(metaclass=_NoticedType):
    """An object that notices when an attribute of it is assigned or deleted."""

    _is_building = False
    """Set in its `__dict__` while what is assigned is no change of anybody's."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not self._is_building:
            Changes.count += 1
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        Changes.count += 1
        super().__delattr__(name)


def _noticed(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def changing(self: Any, *args: Any, **options: Any) -> Any:
        Changes.count += 1
        return method(self, *args, **options)

    return changing


class NoticedList(list[Any]):
    """A list that notices when it is changed."""

    append = _noticed(list.append)
    clear = _noticed(list.clear)
    extend = _noticed(list.extend)
    insert = _noticed(list.insert)
    pop = _noticed(list.pop)
    remove = _noticed(list.remove)
    reverse = _noticed(list.reverse)
    sort = _noticed(list.sort)
    __delitem__ = _noticed(list.__delitem__)
    __iadd__ = _noticed(list.__iadd__)
    __imul__ = _noticed(list.__imul__)
    __setitem__ = _noticed(list.__setitem__)
