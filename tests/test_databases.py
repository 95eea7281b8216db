"""What tests are given as new is new, though another test has used it."""

import psycopg
import pytest
from databases import EmptyDatabases, emptying
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, create_engine

METADATA = MetaData()
PARENTS = Table("Many parents", METADATA, Column("id", Integer, primary_key=True))
CHILDREN = Table(
    "children",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("parent_id", ForeignKey(PARENTS.c.id)),
)


@pytest.fixture
def databases(server):
    databases = EmptyDatabases(server)
    yield databases
    databases.drop()


def execute(server, name, *statements):
    with psycopg.connect(server.url(name), autocommit=True) as session:
        return [session.execute(statement) for statement in statements][-1]


def test_a_database_is_given_on_without_its_tables_and_sessions(server, databases):
    name = databases.take()
    left = psycopg.connect(server.url(name))
    left.execute("CREATE TABLE things (id serial); CREATE TYPE mood AS ENUM ('ok')")
    left.commit()
    left.execute("LOCK things")

    databases.give_back(name)

    assert databases.take() == name
    with psycopg.connect(server.url(name)) as session:
        found = session.execute("SELECT to_regclass('things'), to_regtype('mood')")
        assert found.fetchone() == (None, None)
    with pytest.raises(psycopg.OperationalError):
        left.execute("SELECT 1")
    left.close()
    databases.give_back(name)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE SCHEMA other",
        "CREATE EXTENSION hstore SCHEMA pg_catalog",
        "ALTER DATABASE {} SET statement_timeout = 1",
        "ALTER DATABASE {} CONNECTION LIMIT 50",
        "GRANT CREATE ON DATABASE {} TO public",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO public",
        "SELECT lo_create(0)",
        "CREATE PUBLICATION everything FOR ALL TABLES",
        "CREATE FUNCTION pg_catalog.one() RETURNS int RETURN 1",
    ],
)
def test_a_database_that_would_not_be_as_new_is_dropped(server, databases, statement):
    name = databases.take()
    execute(server, name, "SET allow_system_table_mods = on", statement.format(name))

    databases.give_back(name)

    found = "SELECT count(*) FROM pg_database WHERE datname = %s"
    with psycopg.connect(server.url()) as session:
        assert session.execute(found, [name]).fetchone() == (0,)


def test_a_database_that_is_gone_is_not_missed(server, databases):
    name = databases.take()
    server.drop_database(name)

    databases.give_back(name)

    assert databases.take() != name


def test_emptied_tables_begin_to_number_at_1_again(database_url):
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as session:
        METADATA.create_all(session)
        session.execute(PARENTS.insert())
        session.execute(CHILDREN.insert().values(parent_id=1))

        session.exec_driver_sql(emptying(METADATA.sorted_tables))

        assert session.execute(CHILDREN.select()).all() == []
        assert session.execute(PARENTS.insert().returning(PARENTS.c.id)).scalar() == 1
    engine.dispose()
