"""The environment, `.env` and arguments, read once into frozen settings."""

from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from howdah.errors import Misconfigured
from howdah.settings.options import Pool, Retry, Timeouts
from howdah.settings.url import LARGEST_PORT, DatabaseURL

__all__ = ("Settings",)

_Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Everything that the environment may say about the database.

    Names are read as they are written here, in any case (`DB_POOL_SIZE`), first from
    arguments, then the environment, then `.env`. Subclass it for your own settings.
    Raises Misconfigured that names the variable and never shows its value.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    database_url: SecretStr | None = None
    test_database_url: SecretStr | None = None
    postgres_server: str | None = None
    postgres_port: Annotated[int, Field(ge=1, le=LARGEST_PORT)] = 5432
    postgres_user: str | None = None
    postgres_password: SecretStr | None = None
    postgres_db: str | None = None

    db_pool_size: Annotated[int, Field(ge=1, le=10_000)] = 10
    db_max_overflow: Annotated[int, Field(ge=0, le=10_000)] = 0
    db_pool_timeout: _Seconds = 5.0
    db_pool_recycle: Annotated[float, Field(ge=-1, le=86_400)] = 300.0
    db_pool_pre_ping: bool = False
    db_connect_timeout: _Seconds = 5.0
    db_query_timeout: _Seconds = 30.0
    db_lock_timeout: _Seconds = 10.0
    db_idle_in_transaction_timeout: _Seconds = 60.0
    db_retry_attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    db_retry_delay: _Seconds = 1.0
    db_echo: bool = False
    debug: bool = False
    howdah_dev: bool = False
    howdah_workers: Annotated[int, Field(ge=1, le=10_000)] = 1

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as exc:
            # `from None`: the cause would show what was set, a password perhaps.
            raise Misconfigured(_unreadable(exc)) from None
        except SettingsError as exc:
            # A list or an object that is no JSON; the text names field and source.
            raise Misconfigured(f"cannot read the settings: {exc}") from None
        except UnicodeDecodeError:
            raise Misconfigured(
                f"cannot read the settings: {self.model_config.get('env_file')} is no "
                "UTF-8; save it as UTF-8"
            ) from None

    @property
    def url(self) -> DatabaseURL | None:
        """Where the database is; None means the embedded one."""
        if self.database_url is not None:
            return DatabaseURL.parse(self.database_url.get_secret_value())
        parts = (self.postgres_server, self.postgres_user, self.postgres_db)
        if not any(parts):
            return None
        password = self.postgres_password
        user = self.postgres_user or "postgres"
        return DatabaseURL(
            user=user,
            password=password.get_secret_value() if password else None,
            hosts=((self.postgres_server or "localhost", self.postgres_port),),
            database=self.postgres_db or user,
        )

    @property
    def test_url(self) -> DatabaseURL | None:
        """Where tests may make databases; None means an embedded server."""
        if self.test_database_url is None:
            return None
        return DatabaseURL.parse(self.test_database_url.get_secret_value())

    @property
    def echo(self) -> bool:
        """Whether every statement is logged."""
        return self.db_echo or self.debug

    @property
    def pool(self) -> Pool:
        """The connection budget."""
        return Pool(
            size=self.db_pool_size,
            overflow=self.db_max_overflow,
            timeout=self.db_pool_timeout,
            recycle=self.db_pool_recycle,
            pre_ping=self.db_pool_pre_ping,
        )

    @property
    def timeouts(self) -> Timeouts:
        """The limits on every connection."""
        return Timeouts(
            connect=self.db_connect_timeout,
            statement=self.db_query_timeout,
            lock=self.db_lock_timeout,
            idle_in_transaction=self.db_idle_in_transaction_timeout,
        )

    @property
    def retry(self) -> Retry:
        """How long to wait for a server that is still starting."""
        return Retry(attempts=self.db_retry_attempts, delay=self.db_retry_delay)


def _unreadable(error: ValidationError) -> str:
    faults = "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    )
    return f"cannot read the settings: {faults}"
