"""Which actions a resource has, and who may call them.

An action has a name and belongs to groups: what is said of `create` holds for batches
of new rows as well, so that nobody shuts a door and leaves the window open.
"""

from collections.abc import Iterable, Mapping, Sequence

from fastapi.params import Depends

from howdah.errors import Misconfigured
from howdah.query import nearest
from howdah.resource.declaration import Declaration

__all__ = ("groups", "has", "permissions", "refuse_unknown")

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "list": ("read",),
    "search": ("list", "read"),
    "query": ("list", "read"),
    "count": ("list", "read"),
    "get": ("read",),
    "related": ("get", "read"),
    "create": ("write",),
    "create_many": ("create", "write"),
    "put": ("create", "update", "write"),
    "put_many": ("put", "create", "update", "write"),
    "update": ("write",),
    "patch": ("update", "write"),
    "update_many": ("update", "write"),
    "relate": ("update", "write"),
    "delete": ("write",),
    "delete_many": ("delete", "write"),
    "restore": ("delete", "write"),
}
_NAMES = frozenset(_GROUPS) | {group for them in _GROUPS.values() for group in them}


def groups(action: str) -> tuple[str, ...]:
    """Return the names that an action goes by: its own, and those of its groups.

    One that is in no group is refused, since nobody could keep others from it.
    """
    return (action, *_GROUPS[action])


def has(cls: type[Declaration], action: str) -> bool:
    """Say whether a resource has an action that its other attributes allow for."""
    names = {*groups(action)}
    if cls.read_only and "read" not in names:
        return False
    if names.intersection(cls.without):
        return False
    return not cls.only or bool(names.intersection(cls.only))


def permissions(cls: type[Declaration], action: str) -> Sequence[Depends]:
    """Return the dependencies that an action asks first, those of groups before its."""
    names = reversed(groups(action))
    return [each for name in names for each in cls.dependencies.get(name, ())]


def refuse_unknown(cls: type[Declaration]) -> None:
    """Raise Misconfigured where a declaration names an action that there is not."""
    for attribute in ("without", "only", "dependencies"):
        given: Iterable[str] = getattr(cls, attribute)
        if isinstance(given, str):
            raise Misconfigured(
                f"{cls.__name__}.{attribute} is the text {given!r}; write ({given!r},)"
            )
        for name in given:
            if name not in _NAMES:
                raise Misconfigured(
                    f"{cls.__name__}.{attribute} names {name!r}, which is no action"
                    f"{nearest(name, _NAMES)}; there are {', '.join(sorted(_NAMES))}"
                )
