"""The types that an annotation is made of. Knows neither columns nor schemas."""

import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any, get_args, get_origin

from annotated_types import BaseMetadata

__all__ = ("holds", "inside", "parts")


def parts(annotation: Any) -> Sequence[Any]:
    """Return the types that an annotation may be one of, without None."""
    if annotation is None or annotation is types.NoneType:
        return ()
    if get_origin(annotation) is typing.Annotated:
        return parts(get_args(annotation)[0])
    if get_origin(annotation) in {typing.Union, types.UnionType}:
        return [part for one in get_args(annotation) for part in parts(one)]
    return (annotation,)


def inside(annotation: Any) -> Iterable[Any]:
    """Yield what is said beside the types inside of an annotation."""
    if get_origin(annotation) is typing.Annotated:
        yield from annotation.__metadata__
    for argument in get_args(annotation):
        if not isinstance(argument, BaseMetadata):
            yield from inside(argument)


def holds(annotation: Any, *kinds: type[Any]) -> bool:
    """Say whether one of these types is in an annotation, or in the lists in it."""
    return any(
        part in kinds
        or get_origin(part) in kinds
        or any(holds(inner, *kinds) for inner in _arguments(part))
        for part in parts(annotation)
    )


def _arguments(part: Any) -> Sequence[Any]:
    return () if get_origin(part) is typing.Literal else get_args(part)
