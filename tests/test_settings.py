"""Settings from the environment, and database URLs as people write them."""

import re
from pathlib import Path
from typing import ClassVar

import psycopg.conninfo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from howdah.errors import Misconfigured
from howdah.settings import DatabaseURL, PageLimits, Pool, Settings

SECRET = "hunter2-secret"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """A folder without a `.env`, and no names of the machine's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEBUG", raising=False)


def everything_said(error: BaseException | None) -> str:
    """All texts of an exception and of what caused it."""
    said = ""
    while error is not None:
        said += f"{error!s} {error!r} {error.args!r} "
        error = error.__cause__ or (
            None if error.__suppress_context__ else error.__context__
        )
    return said


@pytest.mark.parametrize(
    ("name", "value", "read", "expected"),
    [
        ("DB_POOL_SIZE", "7", lambda s: s.pool.size, 7),
        ("DB_MAX_OVERFLOW", "4", lambda s: s.pool.overflow, 4),
        ("DB_POOL_TIMEOUT", "1.5", lambda s: s.pool.timeout, 1.5),
        ("DB_POOL_PRE_PING", "true", lambda s: s.pool.pre_ping, True),
        ("DB_POOL_RECYCLE", "1800", lambda s: s.pool.recycle, 1800.0),
        ("DB_POOL_RECYCLE", "-1", lambda s: s.pool.recycle, -1.0),
        ("DB_CONNECT_TIMEOUT", "2", lambda s: s.timeouts.connect, 2.0),
        ("DB_QUERY_TIMEOUT", "9", lambda s: s.timeouts.statement, 9.0),
        ("DB_LOCK_TIMEOUT", "3", lambda s: s.timeouts.lock, 3.0),
        (
            "DB_IDLE_IN_TRANSACTION_TIMEOUT",
            "8",
            lambda s: s.timeouts.idle_in_transaction,
            8.0,
        ),
        ("DB_RETRY_ATTEMPTS", "9", lambda s: s.retry.attempts, 9),
        ("DB_RETRY_DELAY", "0.25", lambda s: s.retry.delay, 0.25),
        ("DB_ECHO", "1", lambda s: s.echo, True),
        ("DEBUG", "yes", lambda s: s.echo, True),
        ("debug", "yes", lambda s: s.debug, True),
        ("db_pool_size", "5", lambda s: s.pool.size, 5),
        (
            "DATABASE_URL",
            "postgres://u@h/d",
            lambda s: str(s.url),
            "postgresql://u@h/d",
        ),
        (
            "TEST_DATABASE_URL",
            "postgresql+asyncpg://u@h/t",
            lambda s: str(s.test_url),
            "postgresql://u@h/t",
        ),
    ],
)
def test_the_environment_sets(monkeypatch, name, value, read, expected):
    monkeypatch.setenv(name, value)

    assert read(Settings()) == expected


def test_without_an_environment_the_embedded_database_serves():
    settings = Settings()

    assert settings.url is None
    assert settings.test_url is None
    assert settings.echo is False
    assert settings.pool == Pool()


def test_the_parts_make_a_url(monkeypatch):
    monkeypatch.setenv("POSTGRES_SERVER", "db.internal")
    monkeypatch.setenv("POSTGRES_PORT", "5433")
    monkeypatch.setenv("POSTGRES_USER", "app")
    monkeypatch.setenv("POSTGRES_PASSWORD", "p@ss:w/rd%")
    monkeypatch.setenv("POSTGRES_DB", "shop")

    url = Settings().url

    assert url is not None
    assert url.reveal() == "postgresql://app:p%40ss%3Aw%2Frd%25@db.internal:5433/shop"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"POSTGRES_DB": "shop"}, "postgresql://postgres@localhost:5432/shop"),
        ({"POSTGRES_USER": "app"}, "postgresql://app@localhost:5432/app"),
        ({"POSTGRES_SERVER": "db"}, "postgresql://postgres@db:5432/postgres"),
        (
            {"POSTGRES_SERVER": "/run/pg", "POSTGRES_DB": "x"},
            "postgresql://postgres@/x?host=%2Frun%2Fpg&port=5432",
        ),
        ({"POSTGRES_SERVER": "::1"}, "postgresql://postgres@[::1]:5432/postgres"),
    ],
)
def test_missing_parts_are_what_the_official_image_takes(monkeypatch, parts, expected):
    for name, value in parts.items():
        monkeypatch.setenv(name, value)

    assert str(Settings().url) == expected


def test_a_password_alone_names_no_database(monkeypatch):
    monkeypatch.setenv("POSTGRES_PASSWORD", SECRET)

    assert Settings().url is None


def test_a_url_wins_over_its_parts(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://u@whole/d")
    monkeypatch.setenv("POSTGRES_SERVER", "parts")

    assert str(Settings().url) == "postgresql://u@whole/d"


def test_arguments_win_over_the_environment_and_that_over_the_file(monkeypatch):
    Path(".env").write_text("DB_POOL_SIZE=3\nDB_MAX_OVERFLOW=3\nDB_RETRY_ATTEMPTS=3\n")
    monkeypatch.setenv("DB_MAX_OVERFLOW", "4")
    monkeypatch.setenv("DB_RETRY_ATTEMPTS", "4")

    settings = Settings(db_retry_attempts=5)

    assert settings.db_pool_size == 3
    assert settings.db_max_overflow == 4
    assert settings.db_retry_attempts == 5


def test_the_file_may_quote_and_hold_names_of_others():
    Path(".env").write_text(
        'DATABASE_URL="postgres://u:p#1@h/d"\nSECRET_KEY=abc\nexport DEBUG=true\n'
    )

    settings = Settings()

    assert settings.url == DatabaseURL.parse("postgres://u:p%231@h/d")
    assert settings.debug is True


def test_a_file_that_is_no_text_is_refused():
    Path(".env").write_bytes(b"POSTGRES_PASSWORD=\xff\xfe" + SECRET.encode())

    with pytest.raises(Misconfigured, match=r"\.env") as caught:
        Settings()

    assert SECRET not in everything_said(caught.value)


def test_empty_means_not_given(monkeypatch):
    for name in ("DATABASE_URL", "POSTGRES_SERVER", "DB_POOL_SIZE", "DEBUG"):
        monkeypatch.setenv(name, "")

    settings = Settings()

    assert settings.url is None
    assert settings.db_pool_size == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_POOL_SIZE", f"many {SECRET}"),
        ("DB_POOL_SIZE", "0"),
        ("DB_MAX_OVERFLOW", "-1"),
        ("DB_QUERY_TIMEOUT", "nan"),
        ("DB_QUERY_TIMEOUT", "-1"),
        ("DB_POOL_RECYCLE", "nan"),
        ("DB_POOL_RECYCLE", "inf"),
        ("DB_RETRY_ATTEMPTS", "0"),
        ("DB_RETRY_DELAY", SECRET),
        ("DB_ECHO", SECRET),
        ("POSTGRES_PORT", "70000"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(Misconfigured, match=f"cannot read the settings: {name}: ") as c:
        Settings()

    assert SECRET not in everything_said(c.value)


def test_all_wrong_values_are_told_at_once(monkeypatch):
    monkeypatch.setenv("DB_POOL_SIZE", "x")
    monkeypatch.setenv("DB_ECHO", "x")

    with pytest.raises(Misconfigured, match=r"DB_POOL_SIZE: .*; DB_ECHO: "):
        Settings()


class ShopSettings(Settings):
    currency: str = "EUR"
    mail_hosts: tuple[str, ...] = ()


def test_a_subclass_adds_its_own(monkeypatch):
    monkeypatch.setenv("CURRENCY", "KRW")
    monkeypatch.setenv("MAIL_HOSTS", '["a", "b"]')

    settings = ShopSettings()

    assert (settings.currency, settings.mail_hosts) == ("KRW", ("a", "b"))


def test_a_list_that_is_no_json_is_refused_by_its_name(monkeypatch):
    monkeypatch.setenv("MAIL_HOSTS", SECRET)

    with pytest.raises(Misconfigured, match=r"(?i)mail_hosts") as caught:
        ShopSettings()

    assert SECRET not in everything_said(caught.value)


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().debug = True  # type: ignore[misc]


def test_settings_never_show_a_password(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:{SECRET}@h/d")
    monkeypatch.setenv("TEST_DATABASE_URL", f"postgresql://u:{SECRET}@h/t")
    monkeypatch.setenv("POSTGRES_PASSWORD", SECRET)

    settings = Settings()

    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.url!r}"
    shown += f"{settings.url} {settings.test_url} {settings.model_dump_json()}"
    assert SECRET not in shown


def test_a_budget_of_one_cannot_serve_two_lanes():
    with pytest.raises(Misconfigured, match="DB_POOL_SIZE to 2 or more"):
        Pool(size=1)


@pytest.mark.parametrize(
    ("size", "overflow", "fast", "sessions"),
    [(2, 0, 1, 1), (10, 0, 5, 5), (3, 0, 1, 2), (1, 1, 1, 1), (5, 10, 7, 8)],
)
def test_two_lanes_share_the_budget(size, overflow, fast, sessions):
    pool = Pool(size=size, overflow=overflow)

    assert (pool.fast, pool.sessions) == (fast, sessions)
    assert pool.fast + pool.sessions == pool.total


@pytest.mark.parametrize("limits", [{"default": 0}, {"default": 11, "maximum": 10}])
def test_page_limits_that_cannot_be_are_refused(limits):
    with pytest.raises(Misconfigured, match="keep 1 <= default <= maximum"):
        PageLimits(**limits)


@pytest.mark.parametrize(
    ("written", "repaired"),
    [
        ("postgres://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        ("postgresql://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql+psycopg://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql+psycopg2://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgres+asyncpg://u:p@h/d", "postgresql://u:p@h/d"),
        ("  postgres://u:p@h/d\n", "postgresql://u:p@h/d"),
        ("postgresql://h", "postgresql://h/"),
        ("postgresql:///d", "postgresql:///d"),
        ("postgresql://u@h/", "postgresql://u@h/"),
        ("postgresql://u:p@h/d?ssl=require", "postgresql://u:p@h/d?sslmode=require"),
        ("postgresql://u:p@h/d?ssl=true", "postgresql://u:p@h/d?sslmode=require"),
        ("postgresql://u:p@h/d?ssl=false", "postgresql://u:p@h/d?sslmode=disable"),
        ("postgresql://u:p@h/d?pgbouncer=true", "postgresql://u:p@h/d"),
        ("postgresql://u:p@h/d?schema=public&workaround=x", "postgresql://u:p@h/d"),
        ("postgresql://u:p@[::1]:5433/d", "postgresql://u:p@[::1]:5433/d"),
        ("postgresql://u:p@[fe80::1]/d", "postgresql://u:p@[fe80::1]/d"),
        ("postgresql://u@a:1,b:2,c/d", "postgresql://u@a:1,b:2,c/d"),
        ("postgresql:///d?host=a,b&port=1,2", "postgresql://a:1,b:2/d"),
        ("postgresql:///d?host=a,b&port=1", "postgresql://a:1,b:1/d"),
        ("postgresql:///d?user=u&password=p&host=h", "postgresql://u:p@h/d"),
        ("postgresql://h?dbname=d", "postgresql://h/d"),
        ("postgresql://u@%2Ftmp%2Fpg/d", "postgresql://u@/d?host=%2Ftmp%2Fpg"),
        ("postgresql://u@/d?host=/tmp/pg", "postgresql://u@/d?host=%2Ftmp%2Fpg"),
        (
            "postgresql://u@%2Ftmp%2Fpg:5433/d",
            "postgresql://u@/d?host=%2Ftmp%2Fpg&port=5433",
        ),
        (
            "postgresql://u@localhost/d?host=/tmp/pg&port=5433",
            "postgresql://u@/d?host=%2Ftmp%2Fpg&port=5433",
        ),
        ("postgresql://h/d%20x", "postgresql://h/d%20x"),
    ],
)
def test_a_url_is_repaired(written, repaired):
    assert DatabaseURL.parse(written).reveal() == repaired
    assert DatabaseURL.parse(repaired).reveal() == repaired


@pytest.mark.parametrize(
    ("written", "password"),
    [
        ("p@ss", "p@ss"),
        ("p%40ss", "p@ss"),
        ("a:b", "a:b"),
        ("a/b", "a/b"),
        ("100%", "100%"),
        ("a%2Fb", "a/b"),
        ("what?", "what?"),
        ("a?b@c", "a?b@c"),
        ("a@b?c", "a@b?c"),
        ("p#w", "p#w"),
        ("two words", "two words"),
        ("a+b", "a+b"),
        ("päss-密碼", "päss-密碼"),
        ("p%C3%A4ss", "päss"),
        ("a&b=c", "a&b=c"),
        ("@:/%?#", "@:/%?#"),
        ("***", "***"),
    ],
)
def test_a_password_is_read_as_it_was_meant(written, password):
    url = DatabaseURL.parse(f"postgresql://app:{written}@db:5432/shop?sslmode=require")

    assert (url.user, url.password) == ("app", password)
    assert (url.hosts, url.database) == ((("db", 5432),), "shop")
    assert url.parameters == {"sslmode": "require"}


def test_a_plus_in_a_parameter_is_a_plus():
    url = DatabaseURL.parse("postgresql://h/d?user=u&password=a+b")

    assert url.password == "a+b"


def test_the_urls_of_neon_are_read_as_neon_writes_them():
    url = DatabaseURL.parse(
        "postgresql://owner:npg_x@ep-cool-1234-pooler.eu-central-1.aws.neon.tech/neondb"
        "?sslmode=require&channel_binding=require&options=endpoint%3Dep-cool-1234"
    )

    assert url.pooled is True
    assert "channel_binding=require" in url.reveal()
    assert url.for_asyncpg().endswith("/neondb?sslmode=require")
    assert url.session_parameters == {"options": "endpoint=ep-cool-1234"}


@pytest.mark.parametrize(
    ("url", "pooled"),
    [
        ("postgresql://u@ep-cool-1234.eu.aws.neon.tech/d", False),
        ("postgresql://u@ep-cool-1234-pooler.eu.aws.neon.tech/d", True),
        ("postgresql://u@aws-0-eu.pooler.supabase.com:6543/postgres", True),
        ("postgresql://u@aws-0-eu.pooler.supabase.com:5432/postgres", False),
        ("postgresql://u@h/d?pgbouncer=true", True),
        ("postgresql://u@h/d?pgbouncer=false", False),
        ("postgresql://u@h/d", False),
    ],
)
def test_a_pooler_is_known_by_its_address(url, pooled):
    parsed = DatabaseURL.parse(url)

    assert parsed.pooled is pooled
    assert parsed.with_database("x").pooled is pooled


NEON = "ep-x-123456-pooler.us-east-2.aws.neon.tech"
DIRECT = "ep-x-123456.us-east-2.aws.neon.tech"


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        (
            f"postgresql://u:p@{NEON}/d?sslmode=require&channel_binding=require",
            f"postgresql://u:p@{DIRECT}/d?sslmode=require&channel_binding=require",
        ),
        (
            "postgresql://u:p@aws-0-eu.pooler.supabase.com:6543/postgres",
            "postgresql://u:p@aws-0-eu.pooler.supabase.com:5432/postgres",
        ),
        ("postgresql://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql://u:p@h/d?pgbouncer=true", None),
        (f"postgresql://u:p@{NEON},h/d", None),
        ("postgresql://u:p@ep-x-pooler.example.com/d", None),
    ],
)
def test_the_direct_address_is_known_by_the_providers_rule(url, direct):
    found = DatabaseURL.parse(url).direct

    assert (found and found.reveal()) == direct
    assert not (found and found.pooled)


@pytest.mark.parametrize(
    ("written", "path", "read"),
    [
        ("sqlite:///shop.db", "shop.db", "sqlite:///shop.db"),
        ("sqlite:////var/a b.db", "/var/a b.db", "sqlite:////var/a%20b.db"),
        ("sqlite+aiosqlite:///x.db?mode=ro", "x.db", "sqlite:///x.db?mode=ro"),
        ("sqlite:///x.db?check_same_thread=false", "x.db", "sqlite:///x.db"),
        ("sqlite://", None, "sqlite:///"),
        ("sqlite:///:memory:", None, "sqlite:///"),
    ],
)
def test_the_url_of_a_file_is_read(written, path, read):
    url = DatabaseURL.parse(written)

    assert (url.dialect, url.database, str(url)) == ("sqlite", path, read)
    assert DatabaseURL.parse(str(url)) == url


def test_the_driver_of_sessions_is_read():
    drivers = {
        scheme: DatabaseURL.parse(f"{scheme}://h/d").driver
        for scheme in ("postgres", "postgresql+asyncpg", "postgresql+psycopg")
    }

    assert list(drivers.values()) == ["asyncpg", "asyncpg", "psycopg"]


def test_parameters_that_libpq_does_not_know_become_options_of_the_session():
    url = DatabaseURL.parse("postgresql://h/d?search_path=a,b%20c&options=-c%20x.y=1")

    options = psycopg.conninfo.conninfo_to_dict(url.reveal())["options"]

    assert options == "-c x.y=1 -c search_path=a,b\\ c"
    assert url.session_parameters["search_path"] == "a,b c"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://u:{}@h/d", "begins with 'mysql'; it has to begin with postgresql://"),
        ("sqlite:///x.db?{}=1", "has a parameter that SQLite does not know"),
        ("sqlite://{}/x.db", "has three slashes before a relative path"),
        ("postgresq://u:{}@h/d", "begins with 'postgresq'"),
        ("app:{}@db/shop", "has no scheme; it has to begin with postgresql://"),
        ("{}", "has no scheme"),
        ("{}://x", "has no scheme"),
        ("u:{}://x", "has no scheme"),
        ("", "has no scheme"),
        ("postgresql://u:p@h:99999{}/d", "port that is no number from 1 to 65535"),
        ("postgresql://u:p@h:0/d", "port"),
        ("postgresql://h:{}/d", "may need escaping"),
        ("postgresql:///d?host=h&port={}", "port"),
    ],
)
def test_what_is_no_url_of_postgresql_is_refused_with_a_cure(url, said):
    with pytest.raises(Misconfigured, match=re.escape(said)) as caught:
        DatabaseURL.parse(url.format("Hunter2!"))

    assert "Hunter2!" not in everything_said(caught.value)


def test_text_and_repr_hide_the_password():
    url = DatabaseURL.parse(f"postgresql://u:{SECRET}@h/d")

    assert str(url) == "postgresql://u:***@h/d"
    assert SECRET not in repr(url)
    assert SECRET in url.reveal()


TEXT = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1
)


@given(user=TEXT, password=TEXT, database=TEXT)
def test_any_text_survives_the_way_into_a_url_and_back(user, password, database):
    url = DatabaseURL(
        user=user, password=password, hosts=(("db", 5432),), database=database
    )

    for written in (url.reveal(), url.for_asyncpg()):
        assert DatabaseURL.parse(written) == url
        read = psycopg.conninfo.conninfo_to_dict(written)
        assert (read["user"], read["password"]) == (user, password)
        assert (read["host"], read["port"]) == ("db", "5432")
        assert read["dbname"] == database


class Placed(Settings):
    environments: ClassVar = {
        "production": {"db_pool_size": 20, "db_max_overflow": 40},
        "testing": {"database_url": "sqlite://"},
    }


@pytest.mark.parametrize(
    ("name", "size", "url"),
    [("production", 20, None), ("testing", 10, "sqlite://"), (None, 10, None)],
)
def test_the_environment_has_defaults(monkeypatch, name, size, url):
    if name is not None:
        monkeypatch.setenv("ENVIRONMENT", name)

    read = Placed()

    assert read.pool.size == size
    assert str(read.url) == str(DatabaseURL.parse(url) if url else None)


def test_what_is_set_counts_before_the_defaults_of_the_environment(monkeypatch):
    Path(".env").write_text("ENVIRONMENT=production\nDB_MAX_OVERFLOW=1\n")
    monkeypatch.setenv("DB_POOL_SIZE", "4")

    assert (Placed().pool.size, Placed().pool.overflow) == (4, 1)
    assert Placed(db_pool_size=3).pool.size == 3


def test_an_environment_without_defaults_is_nobodys_business(monkeypatch):
    monkeypatch.setenv("ENVIRONMENT", "staging")

    assert Settings().environment == "staging"


def test_an_environment_that_is_not_known_is_refused(monkeypatch):
    monkeypatch.setenv("ENVIRONMENT", "prod")

    with pytest.raises(Misconfigured, match="'prod'; it may be production, testing"):
        Placed()


def test_a_default_of_an_environment_has_to_be_a_setting():
    class Wrong(Settings):
        environment: str = "production"
        environments: ClassVar = {"production": {"pool_size": 20}}

    with pytest.raises(Misconfigured, match="pool_size for production, which is no"):
        Wrong()
