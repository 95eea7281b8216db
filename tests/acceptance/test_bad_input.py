"""Whatever comes in over the wire, the answer is a problem of the client's making.

Raw bytes to a real server: a client library would mend or refuse half of this.
"""

import json
from http.client import HTTPResponse
from uuid import uuid4

import httpx
import pytest
from catalogue import NOTEBOOK, assert_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from served import get, post, serving
from shop import create_shop

SECRET = "hunter2-correct-horse"


@pytest.fixture(scope="module")
def served(server, tmp_path_factory):
    name = f"test_{uuid4().hex[:12]}"
    server.create_database(name)
    create_shop(server.url(name))
    with serving(server.url(name), tmp_path_factory.mktemp("served")) as served:
        yield served
    server.drop_database(name)


@pytest.fixture
def send(served):
    """Send bytes as they are; return the answer. The app must have outlived them."""

    def send(request):
        with served.connect() as connection:
            connection.sendall(request)
            return _answer(connection)

    yield send
    assert send(get("/items/?limit=1")).status_code == 200
    assert "Traceback" not in served.log.read_text()


def _answer(connection):
    raw = HTTPResponse(connection)
    raw.begin()
    return httpx.Response(raw.status, headers=raw.getheaders(), content=raw.read())


def item(text):
    """Return the bytes of a create whose body is this text, whatever it may be."""
    return post("/items/", text if isinstance(text, bytes) else text.encode())


def named(name):
    return item(f'{{"name": {name}, "price": 1}}')


def priced(price):
    return item(f'{{"name": "x", "price": {price}}}')


BODIES = {
    "NUL": named(r'"a\u0000b"'),
    "NUL, raw": item(b'{"name": "a\0b", "price": 1}'),
    "NUL in a key": item(r'{"na\u0000me": "a", "name": "a", "price": 1}'),
    "high surrogate": named(r'"\ud800"'),
    "low surrogate": named(r'"a\udfffb"'),
    "surrogates reversed": named(r'"\udc00\ud800"'),
    "surrogate in a key": item(r'{"\ud800": 1, "name": "a", "price": 1}'),
    "surrogate in a refused field": item(r'{"name": "", "price": "\ud800"}'),
    "surrogate in UTF-8": item(b'{"name": "\xed\xa0\x80", "price": 1}'),
    "10 MB name": named('"' + "x" * 10_000_000 + '"'),
    "10 MB key": item('{"' + "x" * 10_000_000 + '": 1}'),
    "NaN": priced("NaN"),
    "NaN as text": priced('"NaN"'),
    "Infinity": priced("Infinity"),
    "-Infinity": priced("-Infinity"),
    "Infinity as text": priced('"Infinity"'),
    "1e400": priced("1e400"),
    "1e400 as text": priced('"1e400"'),
    "1e999999999": priced("1e999999999"),
    "1e-400": priced("1e-400"),
    "5000 digits": priced("9" * 5000),
    "5000 digits behind the point": priced("1." + "9" * 5000),
    "more digits than the column": priced("12345678901234567890"),
    "more decimals than the column": priced("1.005"),
    "NaN in an unknown field": item('{"name": "x", "price": 1, "more": NaN}'),
    "bool for a number": priced("true"),
    "text for a number": priced('"one"'),
    "list for a number": priced("[1]"),
    "number for a text": named("1"),
    "object for a text": named('{"a": 1}'),
    "null for a text": named("null"),
    "reference of 2^31": item(f'{{"name": "x", "price": 1, "category_id": {2**31}}}'),
    "reference of 2^63": item(f'{{"name": "x", "price": 1, "category_id": {2**63}}}'),
    "reference of 2^200": item(f'{{"name": "x", "price": 1, "category_id": {2**200}}}'),
    "reference of -2^63": item(
        f'{{"name": "x", "price": 1, "category_id": {-(2**63)}}}'
    ),
    "reference of 1e400": item('{"name": "x", "price": 1, "category_id": 1e400}'),
    "number for a bool": item('{"name": "x", "price": 1, "is_active": 2}'),
    "array for an object": item("[]"),
    "text for an object": item('"x"'),
    "null for an object": item("null"),
    "number for an object": item("1"),
    "object for an array": post("/items/batch", NOTEBOOK),
    "numbers for objects": post("/items/batch", [1, 2]),
    "nothing": item(""),
    "spaces": item("   "),
    "broken": item('{"name": "x", "price": 1'),
    "broken, a comma": item('{"name": "x", "price": 1,}'),
    "two values": item('{"name": "x", "price": 1} {}'),
    "single quotes": item("{'name': 'x', 'price': 1}"),
    "a comment": item('{"name": "x", "price": 1} // well'),
    "a form": item("name=x&price=1"),
    "a raw line end in a text": item('{"name": "a\nb", "price": 1}'),
    "invalid UTF-8": item(b'{"name": "\xff\xfe", "price": 1}'),
    "UTF-16": item('{"name": "x", "price": 1}'.encode("utf-16")),
    "deep arrays": item("[" * 100_000),
    "deep arrays, closed": item("[" * 100_000 + "]" * 100_000),
    "deep objects": item('{"name":' * 100_000),
    "deep value": item('{"name": "x", "price": ' + "[" * 50_000 + "]" * 50_000 + "}"),
    "key twice": item('{"name": "x", "price": 1, "price": 2}'),
    "key twice, once escaped": item(r'{"name": "x", "price": 1, "pric\u0065": 2}'),
    "key twice, deep": item('{"name": {"a": 1, "a": 2}, "price": 1}'),
}


@pytest.mark.parametrize("request_", BODIES.values(), ids=BODIES)
def test_a_bad_body_is_a_problem(send, request_):
    response = send(request_)

    members = assert_problem(response, 422, "invalid")
    assert members["errors"]
    assert len(response.content) < 2000


ADDRESSES = {
    "NUL in the query": "/items/search?q=%00",
    "NUL in the path": "/items/%00",
    "NUL within the path": "/items/1%00",
    "NUL in an unknown parameter": "/items/?more=%00",
    "lone %": "/items/search?q=%",
    "half an escape": "/items/search?q=%4",
    "no escape": "/items/search?q=100%zz",
    "lone % in the path": "/items/%",
    "invalid UTF-8 in the query": "/items/search?q=%ff",
    "invalid UTF-8 in the path": "/items/%ff",
    "half a character in the query": "/items/search?q=%ED%A0%80",
    "overlong NUL": "/items/search?q=%C0%80",
    "no words": "/items/search",
    "empty words": "/items/search?q=",
    "too many words": "/items/search?q=" + "x" * 1001,
    "5000 digits": "/items/" + "9" * 5000,
    "a float for an id": "/items/1.0",
    "an exponent for an id": "/items/1e3",
    "words for an id": "/items/abc",
    "Arabic digits for an id": "/items/%D9%A1",
    "a bool that is none": "/items/?active_only=perhaps",
    **{
        f"{name}={value[:24]}": f"/items/{path}{name}={value}"
        for name in ("limit", "skip")
        for path in ("?", "search?q=x&")
        for value in (
            "-1",
            str(10**9),
            str(2**63),
            str(2**200),
            "9" * 5000,
            "1.5",
            "1e3",
            "NaN",
            "abc",
            "",
            "0x10",
            "1_0",
            "%201",
        )
    },
    "limit=0": "/items/?limit=0",
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_a_bad_address_is_a_problem(send, address):
    response = send(get(address))

    assert_problem(response, 422, "invalid")
    # A problem names its path as its instance, and nothing else of the request.
    assert len(response.content) < len(address) + 1000


@pytest.mark.parametrize("key", [2**31, 2**63, 2**200, -1, -(2**63), 0])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_key_that_no_column_holds_is_not_found(send, method, key):
    request = post(f"/items/{key}", {"price": 1})

    response = send(request.replace(b"POST", method.encode(), 1))

    assert_problem(response, 404, "not_found")


@pytest.mark.parametrize("words", ["%25", "_", "%5C", "%25%25", "%27", "%E2%82%AC"])
def test_special_characters_are_searched_for_as_they_are(send, words):
    response = send(get(f"/items/search?q={words}"))

    assert response.status_code == 200


def test_a_percent_sign_finds_only_itself(send):
    for name in ("100%", "100"):
        assert send(post("/items/", {"name": name, "price": 1})).status_code == 201

    response = send(get("/items/search?q=%25"))

    assert {row["name"] for row in response.json()} == {"100%"}


TYPES = ["text/plain", "application/xml", "application/x-www-form-urlencoded", "json"]


@pytest.mark.parametrize("media_type", TYPES)
def test_a_body_of_another_type_is_415(send, media_type):
    request = post("/items/", NOTEBOOK)

    response = send(request.replace(b"application/json", media_type.encode()))

    assert_problem(response, 415, "unsupported_media_type")


def test_a_body_without_a_type_is_refused(send):
    request = post("/items/", NOTEBOOK)

    response = send(request.replace(b"Content-Type: application/json\r\n", b""))

    assert 400 <= response.status_code < 500
    assert_problem(response, response.status_code, response.json()["code"])


def test_a_body_of_17_mb_in_chunks_is_413(served):
    response = httpx.post(
        f"{served.url}/items/",
        content=(b"x" * 2**20 for _ in range(17)),
        headers={"content-type": "application/json"},
    )

    assert_problem(response, 413, "too_large")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"name": "", "description": SECRET, "price": 1}, id="neighbour"),
        pytest.param({"name": SECRET * 10, "price": 1}, id="too long"),
        pytest.param({"name": "x", "price": SECRET}, id="no number"),
        pytest.param({"name": SECRET, "price": 1, "category_id": 77}, id="database"),
        pytest.param({"name": SECRET, "price": 1, "category_id": 2**40}, id="driver"),
        pytest.param([{"name": SECRET}], id="batch"),
    ],
)
def test_nothing_of_a_refused_body_is_shown_or_logged(send, served, body):
    response = send(post("/items/batch" if isinstance(body, list) else "/items/", body))

    assert 400 <= response.status_code < 500
    assert_nothing_leaks(response, served)


def test_a_broken_body_is_not_shown_or_logged(send, served):
    response = send(item('{"password": "' + SECRET))

    assert_problem(response, 422, "invalid")
    assert_nothing_leaks(response, served)


def test_a_taken_value_is_not_shown_or_logged(send, served):
    statuses = [
        send(post("/categories/", {"name": SECRET})).status_code for _ in range(2)
    ]
    response = send(post("/categories/", {"name": SECRET}))

    assert statuses[-1] == 409
    assert_problem(response, 409, "duplicate")
    assert_nothing_leaks(response, served)


def assert_nothing_leaks(response, served):
    for text in (response.text, served.log.read_text()):
        assert SECRET not in text
        assert "INSERT" not in text
        assert "SELECT" not in text


def test_a_fault_shows_and_logs_no_values(served, tmp_path):
    # These write tracebacks, which `send` would take for a fault of the app.
    for fault in ("raised", "swallowed", "misshapen"):
        name = f"{SECRET}-{fault}"
        response = httpx.post(f"{served.url}/faults/{fault}", json={"name": name})

        members = assert_problem(response, 500, "internal")
        assert members["id"] in served.log.read_text()
        assert SECRET not in response.text + served.log.read_text()
        assert "INSERT" not in response.text


# Fields that are right more often than not: else nothing would come past the first.
texts = st.text(st.characters(codec=None), max_size=20)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | texts,
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3)
    ),
    max_leaves=8,
)
prices = st.integers(1, 10**6) | st.decimals(0, 10**12, places=2).map(float)
rows = st.fixed_dictionaries(
    {"name": texts | anything, "price": prices | anything},
    optional={
        "description": texts | anything,
        "tax": prices | anything,
        "is_active": st.booleans() | anything,
        "category_id": st.none() | st.integers() | anything,
        "id": anything,
        "more": anything,
    },
)
bodies = rows | anything
queries = st.lists(
    st.tuples(
        st.sampled_from(["q", "limit", "skip", "active_only", "more"]),
        texts | st.integers().map(str) | st.sampled_from(["1", "x", "true"]),
    ),
    max_size=4,
)
fuzz = settings(max_examples=150, deadline=None, derandomize=True, database=None)


@pytest.fixture(scope="module")
def http(served):
    with httpx.Client(base_url=served.url) as client:
        yield client


@given(
    target=st.sampled_from(
        [("POST", "/items/"), ("PUT", "/items/1"), ("PATCH", "/items/1")]
    ),
    body=bodies,
)
@fuzz
def test_no_body_of_one_row_is_a_fault(http, target, body):
    response = http.request(*target, content=json.dumps(body), headers=JSON)

    assert_answered(response)


@given(body=st.lists(rows, max_size=3) | anything)
@fuzz
def test_no_body_of_a_batch_is_a_fault(http, body):
    response = http.post("/items/batch", content=json.dumps(body), headers=JSON)

    assert_answered(response)


@given(
    body=st.binary(max_size=50) | texts.map(lambda text: text.encode(errors="replace"))
)
@fuzz
def test_no_bytes_are_a_fault(http, body):
    response = http.post("/items/", content=body, headers=JSON)

    assert_answered(response)


@given(path=st.sampled_from(["", "search", "count"]), query=queries)
@fuzz
def test_no_query_is_a_fault(http, path, query):
    pairs = "&".join(f"{name}={_escaped(value)}" for name, value in query)

    response = http.get(f"/items/{path}?{pairs}")

    assert_answered(response)


def _escaped(value):
    return "".join(f"%{byte:02x}" for byte in value.encode(errors="surrogatepass"))


JSON = {"content-type": "application/json"}


def assert_answered(response):
    if response.status_code >= 400:
        assert_problem(response, response.status_code, response.json()["code"])
        assert response.status_code < 500
    else:
        response.json()
