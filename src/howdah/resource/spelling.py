"""Attributes of a declaration that nobody reads, because they are misspelt.

`reqire_match = True` would demand nothing, and `scop` would limit nothing. What is near
a known name is refused; whatever else a class has is its own.
"""

from difflib import get_close_matches
from functools import cached_property
from inspect import get_annotations
from types import FunctionType
from typing import Any

from howdah.errors import Misconfigured
from howdah.resource.declaration import Declaration

__all__ = ("refuse_misspelt",)

_SAID = tuple(get_annotations(Declaration))
_KNOWN = {*_SAID, *dir(Declaration)}
_ASKED = ("scope", "before_write", "after_write")
# Below it stand words of their own, like `sort_by`; above it `serach` and `filter`.
_NEAR = 0.83


def refuse_misspelt(cls: type[Declaration]) -> None:
    """Raise Misconfigured for a name that is nearly one of a declaration's."""
    for owner in cls.__mro__:
        if owner.__module__.partition(".")[0] == "howdah":
            continue
        for name, value in vars(owner).items():
            if name.startswith("_") or name in _KNOWN:
                continue
            if near := get_close_matches(name, _known(value), cutoff=_NEAR):
                raise Misconfigured(
                    f"{owner.__name__} has {name}, which says nothing of a resource; "
                    f"did you mean {' or '.join(near)}? Begin a name of your own with "
                    "an underscore"
                )


def _known(value: Any) -> tuple[str, ...]:
    """Return the names that such a value may have been meant for."""
    is_method = isinstance(value, _METHODS)
    return _ASKED if is_method else _SAID


_METHODS = (FunctionType, classmethod, staticmethod, property, cached_property)
