"""How one connection is made, with which limits, for either driver.

Both lanes and the sync door come through here, so a timeout or a repair of a URL has
one place. Keeps nothing: pools are `lane` and SQLAlchemy's.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asyncpg

from howdah.drivers import network, translate
from howdah.settings import DatabaseURL, Timeouts, session_option

if TYPE_CHECKING:
    import psycopg

__all__ = ("connect", "connect_psycopg", "connect_sync", "limits", "set_limits")

# A server that has stopped answering gets this long above its own statement timeout.
_GRACE = 5.0


def limits(timeouts: Timeouts) -> dict[str, str]:
    """Return the server's parameters that hold the limits; 0 means none."""
    return {
        "statement_timeout": _milliseconds(timeouts.statement),
        "lock_timeout": _milliseconds(timeouts.lock),
        "idle_in_transaction_session_timeout": _milliseconds(
            timeouts.idle_in_transaction
        ),
    }


def set_limits(timeouts: Timeouts) -> str:
    """Return SQL that sets the limits for one transaction."""
    settings = ", ".join(
        f"set_config('{name}', '{value}', true)"
        for name, value in limits(timeouts).items()
    )
    # One SELECT, since a prepared statement may not hold several SET.
    return f"SELECT {settings}"


async def connect(url: DatabaseURL, timeouts: Timeouts) -> asyncpg.Connection:
    """Open a connection of asyncpg; raises Unavailable and its kin."""
    try:
        return await asyncpg.connect(
            url.for_asyncpg(),
            timeout=timeouts.connect or None,
            command_timeout=timeouts.statement + _GRACE if timeouts.statement else None,
            statement_cache_size=0 if url.pooled else _PLANS,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=0,
            server_settings=_session_parameters(url, timeouts),
        )
    except network() as exc:
        raise translate(exc) from exc


# Statements kept prepared on each connection of the fast lane.
_PLANS = 1000


async def connect_psycopg(
    url: DatabaseURL, timeouts: Timeouts
) -> "psycopg.AsyncConnection[Any]":
    """Open a connection of psycopg for tasks; raises Unavailable and its kin."""
    import psycopg

    try:
        return await psycopg.AsyncConnection.connect(
            url.reveal(), **_psycopg_options(url, timeouts)
        )
    except network() as exc:
        raise translate(exc) from exc


def connect_sync(url: DatabaseURL, timeouts: Timeouts) -> "psycopg.Connection[Any]":
    """Open a connection of psycopg for threads; raises Unavailable and its kin."""
    import psycopg

    try:
        return psycopg.connect(url.reveal(), **_psycopg_options(url, timeouts))
    except network() as exc:
        raise translate(exc) from exc


def _psycopg_options(url: DatabaseURL, timeouts: Timeouts) -> dict[str, Any]:
    options = " ".join(
        session_option(name, value)
        for name, value in _session_parameters(url, timeouts).items()
        if name not in {"application_name", "options"}
    )
    given = url.session_parameters.get("options", "")
    return {
        "connect_timeout": _whole_seconds(timeouts.connect),
        "application_name": url.session_parameters.get("application_name", "howdah"),
        "options": f"{options} {given}".strip() if not url.pooled else given or None,
        "prepare_threshold": None if url.pooled else 5,
    }


def _session_parameters(url: DatabaseURL, timeouts: Timeouts) -> Mapping[str, str]:
    parameters = {"application_name": "howdah", "timezone": "UTC"}
    if not url.pooled:
        # A pooler refuses parameters that it cannot keep apart between its clients.
        parameters |= limits(timeouts)
    return parameters | url.session_parameters


def _whole_seconds(seconds: float) -> int:
    """Return what libpq takes: whole seconds, where 0 means never."""
    return max(1, round(seconds)) if seconds else 0


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
