"""A strict route on a router of one's own."""

from decimal import Decimal
from typing import Annotated, Any

import pytest
from catalogue import assert_problem, client_of
from fastapi import APIRouter, Body, FastAPI
from pydantic import BaseModel

from howdah import problems
from howdah.route import StrictRoute

pytestmark = pytest.mark.anyio


class Note(BaseModel):
    text: str = ""
    number: float | None = None
    more: Any = None


@pytest.fixture
async def client():
    app, router = FastAPI(), APIRouter(route_class=StrictRoute)
    problems.install(app)

    @router.post("/notes")
    async def create(note: Note) -> Note:
        return note

    @router.get("/notes/{name}")
    async def get(name: str, q: str = "") -> dict[str, str]:
        return {"name": name, "q": q}

    @router.post("/texts")
    async def text(text: Annotated[bytes, Body(media_type="text/plain")]) -> str:
        return text.decode()

    app.include_router(router)
    async with client_of(app) as client:
        yield client


async def post(client, body: bytes, media_type: str = "application/json"):
    return await client.post(
        "/notes", content=body, headers={"content-type": media_type}
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"text": "a", "text": "b"}', "gives the same key twice in one object"),
        (b'{"more": {"a": 1, "a": 2}}', "gives the same key twice"),
        (b'{"number": NaN}', "NaN is not a JSON number"),
        (b'{"number": -Infinity}', "-Infinity is not a JSON number"),
        (rb'{"text": "\u0000"}', "NUL"),
        (rb'{"more": {"\u0000": 1}}', "NUL"),
        (rb'{"more": [["\u0000"]]}', "NUL"),
        (rb'{"text": "\ud800"}', "half a character"),
        (b'{"text": "\xff"}', "no UTF-8"),
        (b'{"more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"number": ' + b"1" * 5000 + b"}", "more digits than are read"),
        (b"{", "is no JSON"),
        (b'{"text": "a"} x', "Extra data at character"),
    ],
)
async def test_json_that_is_not_plain_is_refused(client, body, said):
    response = await post(client, body)

    members = assert_problem(response, 422, "invalid")
    assert said in members["detail"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'{"text": "\ud83d\ude00"}', "😀"),
        ('{"text": "ä密"}'.encode(), "ä密"),
        (rb'{"text": "\\u0000"}', "\\u0000"),
    ],
)
async def test_text_that_is_plain_passes(client, body, text):
    assert (await post(client, body)).json()["text"] == text


async def test_a_number_that_no_float_holds_is_refused(client):
    response = await post(client, b'{"number": 1e400}')

    assert_problem(response, 422, "invalid")


async def test_fractions_are_numbers_wherever_they_stand(client):
    response = await post(client, b'{"number": 1.5, "more": {"a": [2.5]}}')

    assert response.json() == {"text": "", "number": 1.5, "more": {"a": [2.5]}}


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "Application/JSON; charset=utf-8", "application/ld+json"],
)
async def test_json_may_be_declared_in_every_way(client, media_type):
    assert (await post(client, b"{}", media_type)).status_code == 200


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", ""])
async def test_a_body_that_is_no_json_is_415(client, media_type):
    response = await post(client, b"{}", media_type)

    assert_problem(response, 415, "unsupported_media_type")


async def test_a_body_that_is_declared_as_something_else_may_be_it(client):
    headers = {"content-type": "text/plain"}

    response = await client.post("/texts", content=b"{no json", headers=headers)

    assert response.json() == "{no json"


async def test_a_path_answers_with_and_without_its_last_slash(client):
    for path in ("/notes/a", "/notes/a/"):
        response = await client.get(path)
        assert (response.status_code, response.json()["name"]) == (200, "a")


async def test_head_is_where_get_is(client):
    assert (await client.head("/notes/a")).status_code == 200
    response = await client.head("/notes")
    assert response.status_code == 405


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/notes/a?q=%00", "query: holds a NUL"),
        ("/notes/a?q=%ff", "query: is no UTF-8"),
        ("/notes/a?q=%zz", "write %25 for %"),
        ("/notes/a%00", "path: holds a NUL"),
    ],
)
async def test_an_address_that_says_nothing_is_refused(client, path, said):
    response = await client.get(path)

    assert said in assert_problem(response, 422, "invalid")["detail"]


async def test_an_address_may_hold_every_character(client):
    response = await client.get("/notes/%C3%A4?q=%25+%2B")

    assert response.json() == {"name": "ä", "q": "% +"}


async def test_a_decimal_is_read_as_it_was_written():
    app, router = FastAPI(), APIRouter(route_class=StrictRoute)

    @router.post("/")
    async def echo(amounts: list[Decimal]) -> list[str]:
        return [str(amount) for amount in amounts]

    app.include_router(router)
    written = ["0.10", "12345678901234567890.123456789", "1e-400", "-5"]

    async with client_of(app) as client:
        response = await client.post(
            "/",
            content=f"[{', '.join(written)}]",
            headers={"content-type": "application/json"},
        )

    assert response.json() == ["0.10", "12345678901234567890.123456789", "1E-400", "-5"]
