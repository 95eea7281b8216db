"""Which slice of a result. Knows no SQL."""

from dataclasses import dataclass

__all__ = ("OffsetPage",)


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetPage:
    """`limit` rows after the first `skip`."""

    skip: int = 0
    limit: int = 100
