"""What OpenAPI has no words for, told to Schemathesis: hooks for its command line.

Each hook says what the document cannot, and nothing else is passed over.
"""

import itertools
from collections.abc import Iterable

import schemathesis

_numbers = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    _take_a_new_key(case)
    _page_once(case.query)
    _page_once(case.body)


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
    return not set(_messages(response)) & _UNSAID


_UNSAID = {
    # A body or a parameter, but one of them: OpenAPI knows required and optional.
    "has to be given, in the body or as a parameter",
    # A list's items may be unlike each other, and name the same row yet.
    "is given twice in the batch",
}


def _messages(response) -> Iterable[str]:
    if response.status_code == 422:
        for fault in response.json().get("errors", ()):
            yield fault["message"]
