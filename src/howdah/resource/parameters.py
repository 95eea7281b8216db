"""What OpenAPI says of the parameters of a resource, and of the body of a search."""

from collections.abc import Mapping
from typing import Any

from howdah.resource.asked import COUNT_LEAVES_OUT, LONGEST_SEARCH, SHOWN
from howdah.resource.rows import Rows
from howdah.search import FullText

__all__ = (
    "body_schema",
    "count_parameters",
    "page_parameters",
    "page_place_parameters",
    "search_parameters",
    "show_parameters",
)

Described = list[dict[str, Any]]


def page_parameters(resource: Rows[Any]) -> Described:
    """Describe a list's parameters."""
    return [*resource.language.parameters(), *page_place_parameters(resource)]


def page_place_parameters(resource: Rows[Any]) -> Described:
    """Describe the parameters that say which page of a list it is."""
    return [_parameter(name, it) for name, it in _place(resource).items()]


def search_parameters(resource: Rows[Any]) -> Described:
    """Describe the parameters of a search for words."""
    words = _parameter("q", _words(resource), required=True)
    return [words, *page_parameters(resource)]


def count_parameters(resource: Rows[Any]) -> Described:
    """Describe the parameters of a count."""
    return resource.language.parameters(without=COUNT_LEAVES_OUT)


def show_parameters(resource: Rows[Any]) -> Described:
    """Describe the parameters that say what is shown of a row."""
    names = resource.language.names
    return resource.language.parameters(without=[n for n in names if n not in SHOWN])


def body_schema(resource: Rows[Any]) -> dict[str, Any]:
    """Describe the body of a search: each parameter is a member, of its own type."""
    words = {"q": _words(resource)} if resource.search else {}
    return {
        "title": f"{resource.name}Query",
        "type": "object",
        "properties": {**words, **resource.language.members(), **_place(resource)},
        "additionalProperties": False,
    }


def _place(resource: Rows[Any]) -> Mapping[str, dict[str, Any]]:
    limits = resource.page
    number = {"type": "integer"}
    limit = {"minimum": 1, "maximum": limits.maximum, "default": limits.default}
    cursor = "Where to go on, as a Link of an answer says; not beside skip"
    return {
        "skip": {
            **number,
            "minimum": 0,
            "maximum": limits.skip,
            "description": "Rows to pass over",
        },
        "limit": {**number, **limit, "description": "Most rows to give"},
        "cursor": {"type": "string", "description": cursor},
    }


def _words(resource: Rows[Any]) -> dict[str, Any]:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_SEARCH,
        "description": _search_help(resource),
    }


def _search_help(resource: Rows[Any]) -> str:
    if isinstance(resource.search, FullText):
        return (
            'Words that a row has to hold; "words in quotes" as they stand, `or` '
            "between two for either of them, `-` before one for none of it"
        )
    return f"What {', '.join(resource.search)} has to hold"


def _parameter(
    name: str, schema: Mapping[str, Any], *, required: bool = False
) -> dict[str, Any]:
    plain = {n: value for n, value in schema.items() if n != "description"}
    described = {"name": name, "in": "query", "required": required, "schema": plain}
    return {**described, "description": schema["description"]}
