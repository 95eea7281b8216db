r"""What each operator of a filter means, in plain Python.

A missing value, None, is SQL's NULL: it meets no condition but `isnull`, and what is
compared with it is neither true nor false, but None as well.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from howdah.query import Operator

__all__ = ("MEANINGS", "Truth", "all_of", "any_of", "lowered", "none_of")

Truth = bool | None
Meaning = Callable[[Any, Any], Truth]


def lowered(text: str) -> str:
    """Return the text in lower case, each character by itself, as C.UTF-8 has it."""
    # Python alone would make two characters of this one.
    return "".join("i" if char == "\u0130" else char.lower() for char in text)


def all_of(truths: Sequence[Truth]) -> Truth:
    """Return what AND makes of these: unknown only where none is false."""
    if any(truth is False for truth in truths):
        return False
    return None if None in truths else True


def any_of(truths: Sequence[Truth]) -> Truth:
    """Return what OR makes of these: unknown only where none is true."""
    if True in truths:
        return True
    return None if None in truths else False


def none_of(truth: Truth) -> Truth:
    """Return what NOT makes of it; unknown stays unknown."""
    return None if truth is None else not truth


def _known(compare: Callable[[Any, Any], bool]) -> Meaning:
    """Return a meaning that is unknown where a value is missing."""

    def meaning(value: Any, given: Any) -> Truth:
        return None if value is None or given is None else compare(value, given)

    return meaning


def _equal(value: Any, given: Any) -> Truth:
    return None if value is None or given is None else bool(value == given)


def _in(value: Any, given: Sequence[Any]) -> Truth:
    return any_of([_equal(value, one) for one in given])


def _not_in(value: Any, given: Sequence[Any]) -> Truth:
    return none_of(_in(value, given))


def _between(value: Any, given: Sequence[Any]) -> Truth:
    low, high = given
    return all_of([_at_least(value, low), _at_most(value, high)])


def _is_null(value: Any, given: Any) -> Truth:
    return (value is None) is given


def _in_lower_case(compare: Callable[[str, str], bool]) -> Meaning:
    return _known(lambda value, given: compare(lowered(value), lowered(given)))


_at_least = _known(lambda value, given: value >= given)
_at_most = _known(lambda value, given: value <= given)


def _contains(value: str, given: str) -> bool:
    return given in value


MEANINGS: Mapping[Operator, Meaning] = {
    "eq": _equal,
    "ne": _known(lambda value, given: value != given),
    "lt": _known(lambda value, given: value < given),
    "lte": _at_most,
    "gt": _known(lambda value, given: value > given),
    "gte": _at_least,
    "in": _in,
    "not_in": _not_in,
    "isnull": _is_null,
    "contains": _known(_contains),
    "icontains": _in_lower_case(_contains),
    "startswith": _known(str.startswith),
    "istartswith": _in_lower_case(str.startswith),
    "endswith": _known(str.endswith),
    "iendswith": _in_lower_case(str.endswith),
    "between": _between,
}
