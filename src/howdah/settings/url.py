"""The URL of the database as people and providers write it, repaired. No socket."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode

from howdah.errors import Misconfigured

__all__ = ("LARGEST_PORT", "DatabaseURL", "Dialect", "session_option")

Dialect = Literal["postgresql", "sqlite"]

# What libpq understands in a URL and asyncpg does too:
# https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_BOTH = frozenset(
    {
        "passfile",
        "service",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslpassword",
        "sslrootcert",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "target_session_attrs",
    }
)
# What becomes a parameter of the server's session with both drivers.
_SESSION = frozenset({"application_name", "options"})
# What only libpq understands; asyncpg would send it to the server, which refuses it.
_LIBPQ = frozenset(
    {
        "channel_binding",
        "client_encoding",
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "krbsrvname",
        "load_balance_hosts",
        "require_auth",
        "requirepeer",
        "sslcompression",
        "sslnegotiation",
        "sslsni",
        "tcp_user_timeout",
    }
)
# What other clients write into URLs; it says nothing to a driver.
_FOREIGN = frozenset(
    {
        "async_fallback",
        "connection_limit",
        "pgbouncer",
        "pool_timeout",
        "prepareThreshold",
        "prepared_statement_cache_size",
        "schema",
        "sslaccept",
        "statement_cache_size",
        "supa",
        "workaround",
    }
)
_SCHEME = re.compile(r"(?:postgres|postgresql)(?:\+([a-z0-9_]+))?\Z")
_SQLITE_SCHEME = re.compile(r"sqlite(?:\+[a-z0-9_]+)?\Z")
# What SQLite understands in a URI: https://www.sqlite.org/uri.html#recognized_query_parameters
_SQLITE = frozenset({"immutable", "mode", "nolock", "vfs"})
# What others write into the URL of a file, and what is so or is not so anyway.
_SQLITE_FOREIGN = frozenset({"cache", "check_same_thread", "timeout", "uri"})
_SOME_SCHEME = re.compile(r"[a-z][a-z0-9+]{0,19}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseURL:
    """A repaired URL of PostgreSQL or SQLite; its text and repr hide the password."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    hosts: tuple[tuple[str, int | None], ...] = ()
    database: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    pooled: bool = False
    """True behind a pooler in transaction mode, like that of Neon or Supabase."""
    dialect: Dialect = "postgresql"
    driver: Literal["asyncpg", "psycopg"] = "asyncpg"
    """What sessions speak with PostgreSQL through; the fast lane is asyncpg's."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL as people and providers write it.

        Takes `postgres://`, any or no driver, a password with unescaped `@:/%`,
        several hosts, unix sockets, and the parameters that Neon, Supabase, Heroku
        and Prisma add. Raises Misconfigured with the password left out.
        """
        scheme, separator, rest = text.strip().partition("://")
        if separator and _SQLITE_SCHEME.match(scheme):
            return cls._parse_file(rest)
        found = _SCHEME.match(scheme)
        if not separator or not found:
            # What stands before `://`, or all without it, may be a password.
            shown = separator and _SOME_SCHEME.match(scheme)
            raise Misconfigured(
                f"the database URL {f'begins with {scheme!r}' if shown else _BARE}; it "
                "has to begin with postgresql://, like "
                "postgresql://user:password@host:5432/name, or with sqlite:///"
            )
        credentials, address, query = _split(rest)
        netloc, _, path = address.partition("/")
        parameters = _parameters(query)
        hosts = _hosts(netloc, parameters)
        user, _, password = credentials.partition(":")
        return cls(
            user=unquote(user) or parameters.pop("user", None),
            password=unquote(password) or parameters.pop("password", None),
            hosts=hosts,
            database=unquote(path) or parameters.pop("dbname", None),
            pooled=_is_pooled(hosts, parameters),
            parameters=MappingProxyType(
                {k: v for k, v in parameters.items() if k not in _FOREIGN}
            ),
            driver="psycopg" if found[1] == "psycopg" else "asyncpg",
        )

    @classmethod
    def _parse_file(cls, rest: str) -> Self:
        """Read what follows `sqlite://`: three slashes and a path, or nothing."""
        address, _, query = rest.partition("?")
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        if address and not address.startswith("/"):
            raise Misconfigured(
                "the URL of an SQLite file has three slashes before a relative path, "
                "and four before an absolute one: sqlite:///shop.db"
            )
        if not parameters.keys() <= _SQLITE | _SQLITE_FOREIGN:
            raise Misconfigured(
                "the URL of an SQLite file has a parameter that SQLite does not know; "
                f"it knows {', '.join(sorted(_SQLITE))}"
            )
        path = unquote(address[1:]).removeprefix("file:")
        return cls(
            database=None if path in {"", ":memory:"} else path,
            parameters=MappingProxyType(
                {k: v for k, v in parameters.items() if k in _SQLITE}
            ),
            dialect="sqlite",
        )

    def __str__(self) -> str:
        return self._render("***" if self.password else None, self._for_libpq())

    def reveal(self) -> str:
        """Return the whole URL, password included, as libpq reads it; or the file's."""
        return self._render(self.password, self._for_libpq())

    def for_asyncpg(self) -> str:
        """Return the URL with only what asyncpg understands."""
        known = {k: v for k, v in self.parameters.items() if k in _BOTH}
        return self._render(self.password, known)

    def for_sqlite(self, memory: str) -> str:
        """Return the URI of the file; without one, of that name in memory."""
        # A database in memory is one for all connections only in this file system.
        place, query = self.database or f"/{memory}", dict(self.parameters)
        if self.database is None:
            query = {"vfs": "memdb"}
        return f"file:{quote(place)}{_query(query)}"

    @property
    def session_parameters(self) -> dict[str, str]:
        """Parameters of the URL that are meant for the server's session."""
        return {k: v for k, v in self.parameters.items() if k not in _BOTH | _LIBPQ}

    @property
    def direct(self) -> Self | None:
        """The same database without a pooler, where the provider's rule tells it."""
        if not self.pooled:
            return self
        hosts = [_direct(host, port) for host, port in self.hosts]
        found = tuple(host for host in hosts if host is not None)
        return None if found != (*hosts,) else replace(self, hosts=found, pooled=False)

    def with_database(self, name: str) -> Self:
        """Return the same address with another database."""
        return replace(self, database=name)

    def _for_libpq(self) -> dict[str, str]:
        """Return the parameters; those that libpq refuses become options."""
        known = _BOTH | _LIBPQ | _SESSION
        parameters = {k: v for k, v in self.parameters.items() if k in known}
        options = [
            session_option(name, value)
            for name, value in self.parameters.items()
            if name not in known
        ]
        if options:
            given = parameters.get("options", "")
            parameters["options"] = " ".join([given, *options]).strip()
        return parameters

    def _render(self, password: str | None, parameters: Mapping[str, str]) -> str:
        if self.dialect == "sqlite":
            return f"sqlite:///{quote(self.database or '')}{_query(self.parameters)}"
        user = quote(self.user or "", safe="")
        if password is not None:
            user += ":" + quote(password, safe="*")
        query = dict(parameters)
        netloc = ""
        if self._socket is None:
            netloc = ",".join(_netloc(host, port) for host, port in self.hosts)
        else:
            query["host"], port = self._socket
            query |= {"port": str(port)} if port else {}
        return (
            f"postgresql://{user + '@' if user else ''}{netloc}"
            f"/{quote(self.database or '', safe='')}"
            f"{_query(query)}"
        )

    @property
    def _socket(self) -> tuple[str, int | None] | None:
        first = self.hosts[0] if self.hosts else ("", None)
        return first if first[0].startswith("/") else None


_BARE = "has no scheme"


def _query(parameters: Mapping[str, str]) -> str:
    return f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""


def session_option(name: str, value: str) -> str:
    """Return a parameter of the server's session as `options` take it."""
    escaped = re.sub(r"([\\\s])", r"\\\1", value)
    return f"-c {name}={escaped}"


def _split(rest: str) -> tuple[str, str, str]:
    """Return credentials, address and query; a password may hold any of `@:/?`."""
    question = rest.find("?")
    at = rest.rfind("@", 0, question if question >= 0 else len(rest))
    late = rest.rfind("@")
    # `?` inside a password: what stands before the `@` is then no `name=value`.
    if 0 <= question < late and "=" not in rest[question:late]:
        at = late
    credentials, address = (rest[:at], rest[at + 1 :]) if at >= 0 else ("", rest)
    address, _, query = address.partition("?")
    return credentials, address, query


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters under the names that libpq uses."""
    # To libpq `+` is a plus; only forms write blanks so.
    plain = query.replace("+", "%2B")
    parameters = dict(parse_qsl(plain, keep_blank_values=True))
    if "ssl" in parameters:
        mode = parameters.pop("ssl")
        parameters["sslmode"] = _SSL_MODES.get(mode.lower(), mode)
    return parameters


_SSL_MODES = {"true": "require", "1": "require", "false": "disable", "0": "disable"}


def _hosts(
    netloc: str, parameters: dict[str, str]
) -> tuple[tuple[str, int | None], ...]:
    names = parameters.pop("host", None)
    ports = parameters.pop("port", None)
    if names is not None:
        numbers = (ports or "").split(",")
        return tuple(
            (name, _port(numbers[min(i, len(numbers) - 1)]))
            for i, name in enumerate(names.split(","))
        )
    if not netloc:
        return ()
    return tuple(_host(part) for part in netloc.split(","))


def _host(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        name, _, port = text[1:].partition("]")
        return name, _port(port.removeprefix(":"))
    name, _, port = text.partition(":")
    return unquote(name), _port(port)


def _port(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) <= LARGEST_PORT:
        raise Misconfigured(
            "the database URL has a port that is no number from 1 to 65535; an `@`, "
            "`:` or `/` in the password may need escaping (%40, %3A, %2F)"
        )
    return int(text)


LARGEST_PORT = 65535


def _netloc(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{port}" if port else name


def _is_pooled(
    hosts: Sequence[tuple[str, int | None]], parameters: Mapping[str, str]
) -> bool:
    # Neon names its pooler's host `<endpoint>-pooler.<region>...`; Supabase runs
    # transaction mode on 6543; Prisma users write pgbouncer=true.
    return parameters.get("pgbouncer", "").lower() in {"true", "1"} or any(
        host.split(".")[0].endswith("-pooler")
        or (host.endswith(_SUPABASE) and port == _SUPABASE_POOLER)
        for host, port in hosts
    )


def _direct(host: str, port: int | None) -> tuple[str, int | None] | None:
    """Return where sessions are one's own, beside a pooler of Neon or Supabase."""
    endpoint, dot, region = host.partition(".")
    if endpoint.endswith("-pooler") and region.endswith(".neon.tech"):
        return endpoint.removesuffix("-pooler") + dot + region, port
    if host.endswith(_SUPABASE) and port == _SUPABASE_POOLER:
        return host, _SUPABASE_SESSIONS
    return None


_SUPABASE = ".pooler.supabase.com"
_SUPABASE_POOLER, _SUPABASE_SESSIONS = 6543, 5432
