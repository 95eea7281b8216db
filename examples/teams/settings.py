"""What differs between a developer's machine, the tests and production."""

from howdah import Settings


class AppSettings(Settings):
    """Read from the environment and `.env`; ENVIRONMENT chooses the defaults."""

    environment: str = "development"
    environments = {
        "production": {"db_pool_size": 20, "db_max_overflow": 40},
        "testing": {"db_pool_size": 2},
        "development": {"db_pool_size": 5, "db_echo": True},
    }
