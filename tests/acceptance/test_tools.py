"""Tools that people put around FastAPI see the same, whichever way a request goes.

What is theirs is in `tests/tools`. Each runs on both ways, in processes of its own,
over notes that are a resource's and notes served by hand, at the same paths.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

STATUSES = [201, 200, 200, 404, 422, 422, 500, 401, 201, 201, 404, 405, 404]

# Method, route and status; of the last one there is no route.
ROUTED = [
    ("POST", "/notes/", 201),
    ("GET", "/notes/", 200),
    ("GET", "/notes/{note_id}", 200),
    ("GET", "/notes/{note_id}", 404),
    ("POST", "/notes/", 422),
    ("POST", "/notes/", 422),
    ("DELETE", "/notes/{note_id}", 500),
    ("POST", "/guarded/notes/", 401),
    ("POST", "/guarded/notes/", 201),
    ("POST", "/api/v1/notes/", 201),
    ("GET", "/api/v1/notes/{note_id}", 404),
    ("PUT", "/notes/", 405),
]


@pytest.fixture(scope="module")
def tools():
    """A process that runs a tool on both ways for each line that it reads."""
    command = [sys.executable, "-m", "tools"]
    with subprocess.Popen(
        command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as tools:
        yield tools


@pytest.fixture
def seen_by(tools):
    """Run a tool, and return what it sees on the direct way and on FastAPI's alike."""

    def seen_by(tool):
        print(tool, file=tools.stdin, flush=True)
        direct, fastapi = json.loads(tools.stdout.readline())
        assert isinstance(direct, dict), direct
        assert direct == fastapi
        return direct

    return seen_by


def statuses(answers):
    return [answer[0] for answer in answers]


def of_both_kinds(seen):
    """Return what is told of the resource, which is what is told of routes by hand."""
    for each in (seen["resource"], seen["by hand"]):
        assert statuses(each["answers"]) == STATUSES
    assert statuses(seen["kindly"]["answers"]) == [200, 200, 422]
    assert seen["resource"]["told"] == seen["by hand"]["told"]
    return seen["resource"]["told"]


def test_opentelemetry_is_told_of_routes_and_errors(seen_by):
    seen = seen_by("opentelemetry")

    for way, raised in (("app", [BUG]), ("class", [BUG]), ("native", [])):
        told = of_both_kinds(seen[way])
        assert told["served"] == [
            *(
                [f"{method} {route}", route, status, *outcome(status, raised)]
                for method, route, status in ROUTED
            ),
            ["GET", "", 404, "UNSET", []],
        ]
    assert seen["app"]["measured"] == seen["class"]["measured"]
    # The instrumentation knows what a route is called on its own router.
    assert ["POST", "/notes/", 201, 6] in seen["app"]["measured"]
    assert ["POST", "/resource/api/v1/notes/", 201, 1] in seen["native"]["measured"]
    assert seen["native"]["resource"]["told"]["inner"].count("fastapi.endpoint") == 8


BUG = "tools.notes.Bug"


def outcome(status, raised):
    return ["ERROR", raised] if status == 500 else ["UNSET", []]


def test_sentry_is_told_of_transactions_and_errors(seen_by):
    told = of_both_kinds(seen_by("sentry"))

    assert told["errors"] == [
        [
            "/notes/{note_id}",
            [["Bug", "note 1 is gone"]],
            "DELETE",
            "http://test:8000/notes/1",
        ]
    ]
    assert told["transactions"] == [
        *([route, "route", SENTRY[status]] for _, route, status in ROUTED),
        ["http://test:8000/nothing", "url", "not_found"],
    ]


SENTRY = {
    200: "ok",
    201: "ok",
    401: "unauthenticated",
    404: "not_found",
    405: "invalid_argument",
    422: "invalid_argument",
    500: "internal_error",
}


def test_datadog_is_told_of_routes_and_errors(seen_by):
    seen = seen_by("ddtrace")

    assert of_both_kinds(seen) == [
        *(
            [f"{method} {route}", route, str(status), *BUGS.get(status, (None, 0))]
            for method, route, status in ROUTED
        ),
        ["GET /nothing", None, "404", None, 0],
    ]
    assert seen["kindly"]["told"][0][:2] == ["GET /notes/", "/notes/"]


BUGS = {500: (BUG, 1)}


def test_prometheus_counts_requests_by_their_routes(seen_by):
    seen = seen_by("prometheus")

    of_both_kinds(seen)
    counted = {
        (method, handler.removeprefix(kind), status)
        for kind in ("/resource", "/by-hand")
        for handler, method, status, _ in seen["counted"]
        if handler.startswith(kind)
    }
    expected = {(method, route, str(status)) for method, route, status in ROUTED}
    kindly = {("GET", "/notes", "200"), ("GET", "/notes/", "422")}
    kindly.add(("HEAD", "/api/v1/notes/{note_id}", "200"))
    assert counted == expected | kindly
    for kind in ("/resource", "/by-hand"):
        assert [f"{kind}/notes/", "POST", "422", 2] in seen["counted"]
        assert [f"{kind}/api/v1/notes/{{note_id}}", "GET", "404", 1] in seen["counted"]


def test_slowapi_limits_what_it_finds_and_what_depends_on_it(seen_by):
    seen = seen_by("slowapi")

    for asked in seen.values():
        assert {kind: statuses(answers) for kind, answers in asked.items()} == {
            "/resource": LIMITED,
            "/by-hand": LIMITED,
            # SlowAPI's middleware does not look into routers that are included.
            "/resource/included": UNLIMITED,
            "/by-hand/included": UNLIMITED,
            "/resource/depending": LIMITED,
            "/by-hand/depending": LIMITED,
        }
        assert ["x-ratelimit-remaining", "1"] in asked["/resource"][0][1]


LIMITED = [200, 200, 429, 404]
UNLIMITED = [200, 200, 200, 404]


def test_a_csrf_guard_guards_wherever_it_stands(seen_by):
    seen = seen_by("starlette_csrf")

    assert list(seen) == ["before", "behind", "innermost"]
    for kinds in seen.values():
        for answers in kinds.values():
            assert statuses(answers) == [403, 200, 403, 403, 403, 201, 200]
        # What was refused has not been written.
        assert kinds["/resource"][-1][1] == '[{"id":1,"text":"a"}]'


def test_users_who_have_signed_in_see_their_own(seen_by):
    seen = seen_by("fastapi_users")

    for said in seen.values():
        assert [tuple(it[:4]) for it in said] == SIGNED_IN
        texts = {tuple(it[:3]): it[4] for it in said}
        hers = '[{"id":1,"text":"hers","owner_id":1}]'
        assert texts["GET", "/scoped/", "ann"] == hers
        assert texts["GET", "/scoped/", "bob"] == "[]"
        assert texts["GET", "/guarded/", "bob"] == hers


SIGNED_IN = [
    ("POST", "/scoped/", "", 401),
    ("POST", "/scoped/", "ann", 201),
    ("GET", "/scoped/", "", 401),
    ("GET", "/scoped/", "forged", 401),
    ("GET", "/scoped/", "gone", 401),
    ("GET", "/scoped/", "ann", 200),
    ("GET", "/scoped/1", "ann", 200),
    ("GET", "/scoped/", "bob", 200),
    ("GET", "/scoped/1", "bob", 404),
    ("GET", "/scoped/1", "", 401),
    ("DELETE", "/scoped/1", "bob", 404),
    ("GET", "/guarded/", "", 401),
    ("GET", "/by-hand/guarded/", "", 401),
    ("GET", "/guarded/", "gone", 401),
    ("GET", "/by-hand/guarded/", "gone", 401),
    ("GET", "/guarded/", "bob", 200),
    ("GET", "/by-hand/guarded/", "bob", 200),
    ("GET", "/boss/", "bob", 403),
    ("GET", "/by-hand/boss/", "bob", 403),
    ("GET", "/boss/", "boss", 200),
    ("GET", "/by-hand/boss/", "boss", 200),
]
