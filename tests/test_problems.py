"""Errors as problem details: what is said, and what never is."""

import logging

import asyncpg
import httpx
import psycopg
import pytest
import sqlalchemy.exc
from catalogue import assert_problem, client_of
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field, field_validator
from starlette.exceptions import HTTPException

from howdah import errors, problems
from howdah.errors import (
    Contention,
    Duplicate,
    FieldError,
    HowdahError,
    Invalid,
    NotFound,
    PoolExhausted,
    StaleVersion,
    Unavailable,
)

pytestmark = pytest.mark.anyio

SECRET = "hunter2-secret"
ERRORS = [
    cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, HowdahError)
]


class Order(BaseModel):
    name: str = Field(max_length=5)
    amount: int

    @field_validator("name")
    @classmethod
    def check(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("is a bad name")
        return value


async def answer(error: Exception) -> httpx.Response:
    """What an app answers whose route raises the error."""
    app = FastAPI()
    problems.install(app)

    @app.get("/raise")
    async def fail() -> None:
        raise error

    async with client_of(app) as client:
        return await client.get("/raise")


@pytest.fixture
async def client():
    app = FastAPI()
    problems.install(app)

    @app.post("/orders")
    async def create(order: Order, dry: bool = False) -> Order:  # noqa: FBT001, FBT002 - a query
        return order

    @app.post("/orders/batch")
    async def create_many(orders: list[Order]) -> list[Order]:
        return orders

    @app.get("/broken")
    async def broken() -> Order:
        return {"name": SECRET}  # type: ignore[return-value] # the fault

    async with client_of(app) as client:
        yield client


@pytest.mark.parametrize("cls", ERRORS)
async def test_every_error_answers_with_its_status_and_code(cls):
    response = await answer(cls())

    members = assert_problem(response, cls.status, cls.code)
    assert members["instance"] == "/raise"
    if cls.status != 500:
        assert members["detail"] == cls().message
    wait = None if cls.retry_after is None else str(cls.retry_after)
    assert response.headers.get("retry-after") == wait


class Closed(errors.Conflict):
    """The shop is closed."""

    code = "closed"


async def test_an_error_of_ones_own_answers_with_its_code():
    members = assert_problem(await answer(Closed()), 409, "closed")

    assert members["detail"] == "The shop is closed."


async def test_fields_and_rows_that_are_to_blame_are_listed():
    fault = FieldError(field="name", code="taken", message="is taken", index=3)

    members = assert_problem(await answer(Duplicate(errors=(fault,))), 409, "duplicate")

    assert members["errors"] == [
        {"field": "name", "code": "taken", "message": "is taken", "index": 3}
    ]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (asyncpg.UniqueViolationError(SECRET), 409, "duplicate"),
        (psycopg.errors.DeadlockDetected(SECRET), 503, "contention"),
        (sqlalchemy.exc.TimeoutError(SECRET), 503, "unavailable"),
        (sqlalchemy.exc.NoResultFound(SECRET), 404, "not_found"),
        (asyncpg.InterfaceError(SECRET), 503, "unavailable"),
        (asyncpg.UndefinedTableError(SECRET), 500, "internal"),
        (sqlalchemy.exc.InvalidRequestError(SECRET), 500, "internal"),
    ],
)
async def test_what_a_driver_raises_is_translated(error, status, code):
    response = await answer(error)

    assert_problem(response, status, code)
    assert SECRET not in response.text


@pytest.mark.parametrize("error", [ZeroDivisionError(SECRET), HowdahError(SECRET)])
async def test_a_fault_has_a_number_that_the_log_has_too(error, caplog):
    with caplog.at_level(logging.ERROR, "howdah.problems"):
        response = await answer(error)

    members = assert_problem(response, 500, "internal")
    assert SECRET not in response.text
    assert members["id"] in members["detail"]
    (record,) = [r for r in caplog.records if r.name == "howdah.problems"]
    assert (record.fault, record.action) == (members["id"], "fault")
    assert record.getMessage() == f"fault {members['id']} in GET /raise"
    assert record.exc_info[1] is error


async def test_an_http_exception_with_a_text_is_a_problem():
    response = await answer(
        HTTPException(401, "Log in first.", {"WWW-Authenticate": "Bearer"})
    )

    members = assert_problem(response, 401, "unauthorized")
    assert members["detail"] == "Log in first."
    assert response.headers["www-authenticate"] == "Bearer"


async def test_an_http_exception_with_an_object_keeps_it_as_data():
    response = await answer(HTTPException(402, {"price": 5, "in": ["EUR"]}))

    members = assert_problem(response, 402, "payment_required")
    assert members["detail"] == "Payment Required"
    assert members["data"] == {"price": 5, "in": ["EUR"]}


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "bad_request"), (404, "not_found"), (413, "too_large"), (422, "invalid")],
)
async def test_codes_are_the_same_whoever_raises(status, code):
    assert_problem(await answer(HTTPException(status)), status, code)


async def test_a_status_that_nobody_knows_has_a_title():
    members = assert_problem(await answer(HTTPException(499)), 499, "error")

    assert members["title"] == "Error"


async def test_an_answer_without_a_body_has_none():
    response = await answer(HTTPException(304, headers={"ETag": '"x"'}))

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == '"x"'


async def test_a_path_that_is_not_there_is_a_problem(client):
    members = assert_problem(await client.get("/nowhere"), 404, "not_found")

    assert members["instance"] == "/nowhere"


async def test_a_wrong_method_names_the_right_ones(client):
    response = await client.get("/orders")

    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"name": SECRET, "amount": 1}, "name", "string_too_long"),
        ({"name": "a", "amount": SECRET}, "amount", "int_parsing"),
        ({"password": SECRET, "name": "a"}, "amount", "missing"),
        ({"name": "bad", "amount": 1}, "name", "value_error"),
        ([SECRET], "body", "model_attributes_type"),
    ],
)
async def test_an_invalid_body_names_its_field_and_is_never_echoed(
    client, caplog, body, field, code
):
    response = await client.post("/orders", json=body)

    members = assert_problem(response, 422, "invalid")
    assert [(e["field"], e["code"]) for e in members["errors"]] == [(field, code)]
    assert members["detail"].startswith(f"{field}: ")
    assert SECRET not in response.text
    assert SECRET not in caplog.text


async def test_the_words_of_a_validator_are_given_without_a_prefix(client):
    response = await client.post("/orders", json={"name": "bad", "amount": 1})

    assert response.json()["detail"] == "name: is a bad name"


async def test_parameters_are_named_as_clients_know_them(client):
    response = await client.post(
        f"/orders?dry={SECRET}", json={"name": "a", "amount": 1}
    )

    members = assert_problem(response, 422, "invalid")
    assert [error["field"] for error in members["errors"]] == ["dry"]
    assert SECRET not in response.text


async def test_many_faults_are_summarised_and_all_listed(client):
    response = await client.post("/orders/batch", json=[{}, {"name": "toolong"}, {}])

    members = assert_problem(response, 422, "invalid")
    places = [(error["index"], error["field"]) for error in members["errors"]]
    assert places == [
        (0, "name"),
        (0, "amount"),
        (1, "name"),
        (1, "amount"),
        (2, "name"),
        (2, "amount"),
    ]
    assert members["detail"].startswith("row 0, name: Field required; row 0, amount: ")
    assert members["detail"].endswith("; and 3 more")


async def test_broken_json_is_told_by_its_place(client):
    response = await client.post(
        "/orders",
        content=f'{{"name": "{SECRET}" "amount"}}',
        headers={"content-type": "application/json"},
    )

    members = assert_problem(response, 422, "invalid")
    assert members["errors"][0]["code"] == "json_invalid"
    assert "is no JSON: Expecting ',' delimiter at character" in members["detail"]
    assert SECRET not in response.text


async def test_an_answer_that_breaks_its_own_schema_is_a_fault(client):
    response = await client.get("/broken")

    assert_problem(response, 500, "internal")
    assert SECRET not in response.text


async def test_a_handler_of_the_users_own_wins():
    app = FastAPI()
    problems.install(app)

    @app.exception_handler(NotFound)
    async def mine(_request: Request, _error: NotFound) -> PlainTextResponse:
        return PlainTextResponse("mine", 404)

    @app.get("/raise")
    async def fail() -> None:
        raise NotFound

    async with client_of(app) as client:
        assert (await client.get("/raise")).text == "mine"


def test_a_problem_is_a_function_of_its_error():
    assert problems.problem(NotFound(model="Item", key=7), instance="/items/7") == {
        "type": "urn:howdah:problem:not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "Item ID 7 not found",
        "code": "not_found",
        "instance": "/items/7",
    }
    assert "instance" not in problems.problem(Invalid())


@pytest.mark.parametrize("cls", [StaleVersion, Contention, PoolExhausted, Unavailable])
def test_the_documented_schema_holds_what_is_sent(cls):
    (documented,) = problems.responses(cls.status).values()
    schema = documented["content"][problems.MEDIA_TYPE]["schema"]

    sent = problems.problem(cls())

    assert set(schema["required"]) <= set(sent) <= set(schema["properties"])


async def test_a_document_says_of_an_invalid_request_what_is_answered(client):
    document = (await client.get("/openapi.json")).json()

    answer = document["paths"]["/orders"]["post"]["responses"]["422"]
    assert list(answer["content"]) == ["application/problem+json"]
    schemas = document["components"]["schemas"]
    assert {"HTTPValidationError", "ValidationError"}.isdisjoint(schemas)
    assert "Order" in schemas
