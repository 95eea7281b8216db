"""Bodies that PostgreSQL may read as they were sent: it finds what Pydantic found.

Both take a number or a text of JSON for the same value, but for a few ways to write
one. Which those are is known here; that a body is valid is known already.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Column, Float, Numeric

from howdah.schemas import inside, parts

__all__ = ("Verbatim", "has_long_number", "rounds")

Test = Callable[[bytes], bool]


class Verbatim:
    """What tells bodies that mean the same to PostgreSQL from those that may not."""

    def __init__(self, *differs: Test) -> None:
        self._differs = differs

    @classmethod
    def of(
        cls, schema: type[BaseModel], fields: Mapping[str, Column[Any]]
    ) -> "Verbatim | None":
        """Return what tells them, None for a schema that makes other values of some."""
        infos = schema.model_fields.items()
        if not (
            _keeps_texts(schema.model_config)
            and all(_keeps(info, fields.get(name)) for name, info in infos)
        ):
            return None
        kinds = {part for _, info in infos for part in parts(info.annotation)}
        return cls(*(test for kind, test in _TESTS.items() if kind in kinds))

    def takes(self, body: bytes) -> bool:
        """Say whether a valid body means the same to PostgreSQL."""
        return not any(differs(body) for differs in self._differs)


def rounds(column: Column[Any] | None) -> bool:
    """Say whether a column gives each number as many digits as it has itself."""
    type_ = None if column is None else column.type
    is_exact = isinstance(type_, Numeric) and not isinstance(type_, Float)
    return is_exact and type_.scale is not None  # type: ignore[union-attr] # it is Numeric


def has_long_number(body: bytes) -> bool:
    """Say whether a number may have more digits than a float holds, or is too large.

    To look for one from each digit on would take longer than to read the body.
    """
    plain = body.translate(_DIGITS)
    return _LONG in plain or (_POWER in plain and _LARGE.search(body) is not None)


_DIGITS = bytes(
    ord("0") if each in b"0123456789." else ord("e") if each in b"eE" else each
    for each in range(256)
)
_LONG, _POWER = b"0" * 16, b"0e"
_LARGE = re.compile(rb"[0-9][eE][+-]?[0-9]{2,}[\s,}]")


def _keeps_texts(config: Mapping[str, Any]) -> bool:
    return not any(config.get(f"str_{change}") for change in _CHANGES)


_CHANGES = ("strip_whitespace", "to_lower", "to_upper")


def _keeps(info: Any, column: Column[Any] | None) -> bool:
    """Say whether a field has the value that is sent, and the column takes it so."""
    rules = (*info.metadata, *inside(info.annotation))
    if info.validation_alias is not None:
        return False
    if any(getattr(rule, change, False) for rule in rules for change in _CHANGES):
        return False
    kinds: Sequence[Any] = parts(info.annotation)
    is_float = column is None or isinstance(column.type, Float) or rounds(column)
    return all(kind in _KINDS and (kind is not float or is_float) for kind in kinds)


_KINDS = frozenset((bool, float, int, str, UUID))


def _differs_as_float(body: bytes) -> bool:
    # PostgreSQL refuses a fraction that is no more than 0, and `-0` is -0 to it.
    return _SMALL.search(body) is not None or _LONG in body.translate(_DIGITS)


_SMALL = re.compile(rb"-(?:0|(?<=[0-9][eE]-)[0-9]{3,})[\s,}]")


def _differs_as_uuid(body: bytes) -> bool:
    # `urn:uuid:...`, which PostgreSQL does not know; an escape may hide it.
    return b"urn:" in body or b"\\" in body


_TESTS: Mapping[Any, Test] = {float: _differs_as_float, UUID: _differs_as_uuid}
