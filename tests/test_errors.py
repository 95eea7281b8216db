"""The tree of errors, and what PostgreSQL's codes mean in it."""

import inspect

import asyncpg.exceptions
import psycopg.errors
import pytest

from howdah import errors
from howdah.errors import (
    Conflict,
    Contention,
    Duplicate,
    FieldError,
    Forbidden,
    HowdahError,
    Invalid,
    InvalidQuery,
    Misconfigured,
    MissingReference,
    NotFound,
    PoolExhausted,
    ReadOnly,
    StaleVersion,
    StillReferenced,
    Timeout,
    TransactionAborted,
    Unavailable,
    from_sqlstate,
)

# What each class of codes means; exact codes below may say something better.
CLASSES = {
    "08": Unavailable,
    "22": Invalid,
    "23": Conflict,
    "28": Unavailable,
    "3D": Unavailable,
    "40": Contention,
    "44": Invalid,
    "53": Unavailable,
    "57": Unavailable,
    "58": Unavailable,
}
EXACT = {
    "23001": StillReferenced,
    "23502": Invalid,
    "23503": MissingReference,
    "2201E": Duplicate,
    "2201G": Forbidden,
    "23505": Duplicate,
    "23514": Invalid,
    "25006": ReadOnly,
    "25P02": TransactionAborted,
    "25P03": Unavailable,
    "25P04": Timeout,
    "40002": Conflict,
    "40003": Unavailable,
    "42501": Forbidden,
    "42P17": Misconfigured,
    "54000": Invalid,
    "54001": Invalid,
    "55P03": Timeout,
    "57014": Timeout,
    "72000": Unavailable,
    "P0001": Invalid,
}
# Faults of code, of a schema or of the server: nobody who sends a request can mend
# them, and they do not pass, so they are 500 and stand in the log.
INTERNAL = (
    "01 02 03 09 0A 0B 0F 0L 0P 0Z 10 20 21 24 25 26 27 2B 2D 2F 34 38 39 3B 3F 42 54 "
    "55 72 F0 HV P0 XX"
)


def known_codes() -> list[str]:
    """Every code that a class of asyncpg or psycopg stands for."""
    return sorted(
        {
            code
            for module in (asyncpg.exceptions, psycopg.errors)
            for cls in vars(module).values()
            if inspect.isclass(cls)
            and issubclass(cls, Exception)
            # Some classes have a property of that name, which is no code.
            and isinstance(code := inspect.getattr_static(cls, "sqlstate", None), str)
        }
    )


def test_the_drivers_know_codes():
    assert len(known_codes()) > 200


@pytest.mark.parametrize("code", known_codes())
def test_every_code_of_the_drivers_is_mapped_on_purpose(code):
    expected = EXACT.get(code) or CLASSES.get(code[:2])
    if expected is None:
        assert code[:2] in INTERNAL, f"what does {code} mean to who gets it?"
        expected = HowdahError

    assert type(from_sqlstate(code)) is expected


def test_an_unknown_code_is_internal():
    assert type(from_sqlstate("ZZ999")) is HowdahError


@pytest.mark.parametrize(
    ("cls", "status", "code", "retry_after"),
    [
        (HowdahError, 500, "internal", None),
        (Invalid, 422, "invalid", None),
        (InvalidQuery, 422, "invalid", None),
        (NotFound, 404, "not_found", None),
        (Forbidden, 403, "forbidden", None),
        (Conflict, 409, "conflict", None),
        (Duplicate, 409, "duplicate", None),
        (MissingReference, 409, "missing_reference", None),
        (StillReferenced, 409, "still_referenced", None),
        (StaleVersion, 412, "stale", None),
        (Unavailable, 503, "unavailable", 1),
        (PoolExhausted, 503, "unavailable", 1),
        (Timeout, 503, "timeout", 1),
        (ReadOnly, 503, "read_only", 1),
        (Contention, 503, "contention", 1),
        (TransactionAborted, 500, "internal", None),
        (Misconfigured, 500, "internal", None),
    ],
)
def test_every_error_has_a_status_a_code_and_a_text(cls, status, code, retry_after):
    error = cls()

    assert (error.status, error.code, error.retry_after) == (status, code, retry_after)
    assert error.message == cls.__doc__.splitlines()[0]
    assert str(error) == error.message
    assert error.errors == ()


def test_the_tree_is_drawn_whole():
    classes = {name for name in errors.__all__ if name[0].isupper()} - {"FieldError"}

    assert all(f"── {name}" in errors.__doc__ for name in classes - {"HowdahError"})


def test_not_found_says_what_was_not_found():
    assert str(NotFound(model="Item", key=7)) == "Item ID 7 not found"
    assert str(NotFound("No such order.")) == "No such order."
    assert str(NotFound()) == "There is no such row."


def test_an_error_blames_fields_once():
    error = Duplicate(constraint="users_email_key").naming(("email",))

    error.naming(("name",))

    assert error.fields == ("email",)
    assert error.errors == (
        FieldError(
            field="email", code="duplicate", message="is already taken by another row"
        ),
    )


def test_a_missing_value_blames_its_column():
    error = from_sqlstate("23502", table="items", column="name")

    assert error.fields == ("name",)
    assert error.message == "A required value is missing."
    assert error.table == "items"


def test_a_column_is_blamed_for_its_value_only():
    assert from_sqlstate("42501", column="name").fields == ()
