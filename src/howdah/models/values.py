"""Types of values that models have: exact money, bytes in JSON, secrets."""

import base64
import binascii
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic import Field as Constrained
from sqlalchemy import Column
from sqlmodel import Field

from howdah.digits import Digits

__all__ = ("SECRET", "Base64", "Money", "OptionalMoney", "is_secret", "secret")

Money = Annotated[
    Decimal,
    Constrained(max_digits=12, decimal_places=2),
    Digits(),
    PlainSerializer(float, return_type=float, when_used="json"),
]
"""NUMERIC(12, 2) in the database, Decimal in Python, a number in JSON.

Twelve digits fit a JSON number's double without loss, so the number is exact.
"""


def _number_or_null(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


OptionalMoney = Annotated[
    Decimal | None,
    Constrained(max_digits=12, decimal_places=2),
    Digits(),
    PlainSerializer(_number_or_null, return_type=float | None, when_used="json"),
]
"""Money that may be absent: `Money | None` loses its NUMERIC(12, 2) in SQLModel."""


def _from_base64(value: object) -> object:
    """Return the bytes of a text; bytes are those of a row, and stay."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("has to be base64, padded with =") from None


def _to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


Base64 = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(_to_base64, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "contentEncoding": "base64",
            "pattern": "^([A-Za-z0-9+/]{4})*"
            "([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
        }
    ),
]
"""BYTEA in the database, bytes in Python, base64 in JSON, which has no bytes."""

SECRET: Mapping[str, Any] = MappingProxyType({"secret": True})
"""The `info` of a column that nobody reads: `mapped_column(String, info=SECRET)`."""


def secret(**options: Any) -> Any:
    """Return a SQLModel Field whose column nobody reads, filters or sorts by.

    Only a schema that names it can write it: `password_hash: str = secret()`.
    """
    columns = dict(options.pop("sa_column_kwargs", {}))
    columns["info"] = {**columns.get("info", {}), **SECRET}
    return Field(sa_column_kwargs=columns, **options)


def is_secret(column: Column[Any]) -> bool:
    """Say whether nobody may read the column, not even by asking for what it holds."""
    return bool(column.info.get("secret"))
