"""What OpenAPI says of a decimal: how many digits it has, which Pydantic leaves out.

Knows no column, and checks nothing: it tells of what `max_digits`, `decimal_places`,
`gt` and `ge` check.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

__all__ = ("Digits",)


class Digits:
    """Stands beside Decimal in an annotation, for its JSON schema alone."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the schema of the numbers and the texts that are taken."""
        described = handler(schema)
        if handler.mode == "serialization":
            return described
        rules = _rules(schema)
        kinds = [each for kind in described["anyOf"] for each in _limited(kind, rules)]
        return {**described, "anyOf": kinds}


def _rules(schema: Any) -> Mapping[str, Any]:
    """Return the rules of a decimal, which may be inside of one for its absence."""
    return schema if schema["type"] == "decimal" else _rules(schema["schema"])


def _limited(
    kind: Mapping[str, Any], rules: Mapping[str, Any]
) -> Iterable[Mapping[str, Any]]:
    if kind.get("type") == "number":
        yield {**_range(rules), **kind}
    elif kind.get("type") != "string":
        yield kind
    elif pattern := _pattern(rules):
        yield {**kind, "pattern": pattern}


def _range(rules: Mapping[str, Any]) -> Mapping[str, Any]:
    digits, places = rules.get("max_digits"), rules.get("decimal_places")
    if digits is None or places is None:
        return {}
    end = 10 ** (digits - places)
    lowest = {} if {"gt", "ge"} & rules.keys() else {"exclusiveMinimum": -end}
    return {**lowest, "exclusiveMaximum": end, "multipleOf": 10**-places}


def _pattern(rules: Mapping[str, Any]) -> str | None:
    """Return the pattern of decimals as texts; a text knows few of a number's rules."""
    bounds = {name: rules[name] for name in ("gt", "ge", "lt", "le") if name in rules}
    if bounds not in ({}, {"gt": 0}, {"ge": 0}):
        return None
    digits, places = rules.get("max_digits"), rules.get("decimal_places")
    if digits is None or places is None:
        whole, places = 1000, 1000
    else:
        whole = digits - places
    some = f"([1-9][0-9]{{0,{whole - 1}}})" if whole else "0"
    fraction = rf"(\.[0-9]{{1,{places}}})?" if places else ""
    if "gt" not in bounds:
        sign = "" if "ge" in bounds else "-?"
        return f"^{sign}(0|{some}){fraction}$"
    small = rf"|0\.[0-9]{{0,{places - 1}}}[1-9]" if places else ""
    return f"^({some}{fraction}{small})$"
