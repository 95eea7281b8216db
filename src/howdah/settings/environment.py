"""The environment, `.env` and arguments, read once into frozen settings."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

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

    environments: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})
    """Defaults by the name of an environment, of which `ENVIRONMENT` says one.

    `{"production": {"db_pool_size": 20}}`; whatever is set itself counts before."""

    environment: str | None = None
    database_url: SecretStr | None = None
    test_database_url: SecretStr | None = None
    postgres_server: str | None = None
    postgres_port: Annotated[int, Field(ge=1, le=LARGEST_PORT)] = 5432
    postgres_user: str | None = None
    postgres_password: SecretStr | None = None
    postgres_db: str | None = None
    mongodb_url: SecretStr | None = None
    test_mongodb_url: SecretStr | None = None

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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Ask the defaults of the environment last."""
        return (
            init_settings,
            env_settings,
            dotenv_settings,
            file_secret_settings,
            _Defaults(settings_cls),
        )

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


class _Defaults(PydanticBaseSettingsSource):
    """What a class says of the environment that is named by those asked before."""

    def __call__(self) -> dict[str, Any]:
        known: Mapping[str, Mapping[str, Any]] = getattr(
            self.settings_cls, "environments", {}
        )
        fields = self.settings_cls.model_fields
        name = self.current_state.get("environment", fields["environment"].default)
        if not known or not isinstance(name, str):
            return {}
        if name not in known:
            raise Misconfigured(
                f"ENVIRONMENT is {name!r}; it may be {', '.join(sorted(known))}"
            )
        if unknown := known[name].keys() - fields.keys():
            raise Misconfigured(
                f"{self.settings_cls.__name__}.environments has {min(unknown)} "
                f"for {name}, which is no setting"
            )
        return dict(known[name])

    def get_field_value(
        self,
        field: FieldInfo,  # noqa: ARG002 - the form of pydantic-settings
        field_name: str,
    ) -> tuple[Any, str, bool]:
        """Give nothing: all values are given at once."""
        return None, field_name, False


def _unreadable(error: ValidationError) -> str:
    faults = "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    )
    return f"cannot read the settings: {faults}"
