"""What FastAPI's OpenAPI document says less exactly than the app: whole bounds.

Its own models keep bounds as floats, and the largest BIGINT is none. Knows nothing of
resources or problems.
"""

from typing import Any

__all__ = ("make_bounds_whole",)

_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_LARGEST = 2**63 - 1


def make_bounds_whole(described: Any) -> None:
    """Give every integer of a document bounds that are whole, in place."""
    if isinstance(described, list):
        for each in described:
            make_bounds_whole(each)
    if isinstance(described, dict):
        if described.get("type") == "integer":
            described.update(_whole(described))
        for each in described.values():
            make_bounds_whole(each)


def _whole(schema: dict[str, Any]) -> dict[str, int]:
    return {
        name: min(int(schema[name]), _LARGEST)
        for name in _BOUNDS
        if isinstance(schema.get(name), float) and schema[name].is_integer()
    }
