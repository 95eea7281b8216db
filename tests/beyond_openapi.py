"""What OpenAPI has no words for, told to Schemathesis: hooks for its command line.

Each hook says what the document cannot, and nothing else is passed over.
"""

import datetime as dt
import itertools
from collections.abc import Iterable

import schemathesis
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import UseAfterFree

_numbers = itertools.count()


# Formats of which Schemathesis has no examples: the first two are in OpenAPI's own
# registry, the others are what Pydantic calls an address with the size of its network.
for _name, _values in {
    "date-time-local": st.datetimes().map(dt.datetime.isoformat),
    "time-local": st.times().map(dt.time.isoformat),
    "ipv4interface": st.ip_addresses(v=4).map(lambda it: f"{it}/24"),
    "ipv6interface": st.ip_addresses(v=6).map(str),
}.items():
    schemathesis.openapi.format(_name, _values)


@schemathesis.hook
def before_call(context, case, kwargs):
    _take_a_new_key(case)
    _page_once(case.query)
    _page_once(case.body)
    if case.meta and case.meta.generation.mode.is_positive:
        for place in ("query", "body"):
            given = getattr(case, place)
            if _rounded(given) != given:
                setattr(case, place, _rounded(given))


def _rounded(value):
    """A multiple of 0.01 is one in decimals: 57 * 0.01 is 0.5700000000000001 else."""
    if isinstance(value, float):
        return round(value, 10)
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return value


def _take_a_new_key(case):
    """A key is for one request: sent again with another body, it is refused."""
    given = case.headers.get("Idempotency-Key")
    if given:
        case.headers["Idempotency-Key"] = f"{next(_numbers)}-{given}"[:255]


def _page_once(asked):
    """A cursor comes from a Link and is no text of one's own; nor beside skip."""
    if isinstance(asked, dict) and "cursor" in asked:
        if asked.get("skip"):
            del asked["cursor"]
        else:
            asked["cursor"] = ""
            asked.pop("skip", None)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    return not (set(_messages(response)) & _UNSAID or _is_marked(failure, response))


_UNSAID = {
    # A body or a parameter, but one of them: OpenAPI knows required and optional.
    "has to be given, in the body or as a parameter",
    # A pattern of the order of fields would name each order of them.
    "names a field twice",
    # A list's items may be unlike each other, and name the same row yet.
    "is given twice in the batch",
}


def _is_marked(failure, response):
    """A row that is marked as deleted by a flag can still be read, and says so."""
    gone = isinstance(failure, UseAfterFree) and response.status_code == 200
    return gone and response.json().get("is_active") is False


def _messages(response) -> Iterable[str]:
    if response.status_code == 422:
        for fault in response.json().get("errors", ()):
            yield fault["message"]
