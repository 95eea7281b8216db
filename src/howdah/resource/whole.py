"""Whole numbers as people write them: `int` takes more than what OpenAPI says.

Knows no resource.
"""

import re
from typing import Annotated, Any, get_args, get_origin

from fastapi.params import Param
from pydantic import BeforeValidator

__all__ = ("Whole", "WholeNumber", "whole_in_address")

_WHOLE = re.compile(r"-?[0-9]+\Z", re.ASCII)


def _whole(value: object) -> object:
    """Refuse what `int` would take as well: `1_0`, ` 1`, `1.0`."""
    if isinstance(value, str) and not _WHOLE.match(value):
        raise ValueError("has to be a whole number, digits only")
    return value


def _number(value: object) -> object:
    """Refuse what `int` would take from JSON as well: `true`, `"1"`."""
    if isinstance(value, bool | str):
        raise ValueError("has to be a whole number")  # noqa: TRY004 - Pydantic wants it
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number in an address."""
WholeNumber = Annotated[int, BeforeValidator(_number)]
"""A whole number in JSON, where 1.0 is one too."""


def whole_in_address(annotation: Any) -> Any:
    """Return what a parameter takes: where it is a plain `int`, digits and no more."""
    if annotation in (int, "int"):
        return Whole
    if get_origin(annotation) is not Annotated:
        return annotation
    kind, *said = get_args(annotation)
    # Neither a dependency's value nor a member of a body.
    if kind is not int or not all(isinstance(each, Param) for each in said):
        return annotation
    return Annotated[annotation, BeforeValidator(_whole)]
