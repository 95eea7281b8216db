"""Empty databases and empty tables, quickly.

Making a database costs far more than most tests do. So a worker empties the one that a
test is done with and gives it to the next. It must be as new: what a test has left
behind outside of the schema `public` is found by its number (PostgreSQL's own objects
have those below 16384), and such a database is dropped, not given on.
"""

from collections.abc import Iterable
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from howdah.embedded import EmbeddedPostgres

__all__ = ("EmptyDatabases", "emptying")

_EMPTY = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend';
    DROP SCHEMA public CASCADE;
    CREATE SCHEMA public AUTHORIZATION pg_database_owner;
    GRANT USAGE ON SCHEMA public TO public;
    COMMENT ON SCHEMA public IS 'standard public schema'
"""
_CATALOGUES = """
    SELECT relname FROM pg_class
    JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'oid'
    WHERE relnamespace = 'pg_catalog'::regnamespace
        AND relkind = 'r' AND NOT relisshared AND relname <> 'pg_namespace'
    ORDER BY relname
"""
_LEFT = """
    SELECT nspname FROM pg_namespace
    WHERE oid >= 16384 AND nspname <> 'public' AND nspname !~ '^pg_(toast_)?temp_'
    UNION ALL SELECT setconfig::text FROM pg_db_role_setting
    JOIN pg_database ON setdatabase = pg_database.oid WHERE datname = current_database()
    UNION ALL SELECT 'a right of ' || refobjid::regrole FROM pg_shdepend
    JOIN pg_database ON dbid = pg_database.oid WHERE datname = current_database()
    UNION ALL SELECT 'its own settings' FROM pg_database
    WHERE datname = current_database()
        AND (datconnlimit <> -1 OR datacl IS NOT NULL OR datistemplate OR datdba <> 10)
"""

_QUOTED = postgresql.dialect().identifier_preparer.format_table


def emptying(tables: Iterable[Table]) -> str:
    """Return the statement that deletes all rows and begins to number at 1 again.

    TRUNCATE makes new files for each table and index, which takes a hundred times as
    long. Give tables as `sorted_tables` does: those that others refer to go first.
    """
    names = [_QUOTED(table) for table in tables]
    deletes = "".join(f"DELETE FROM {name}; " for name in reversed(names))
    regclasses = ", ".join(f"$name${name}$name$::regclass" for name in names)
    return f"""
        DO $$ BEGIN
            {deletes}
            PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence JOIN pg_depend
                ON classid = 'pg_class'::regclass AND objid = seqrelid
                AND refclassid = 'pg_class'::regclass AND refobjsubid > 0
                AND refobjid IN ({regclasses});
        END $$
    """


class EmptyDatabases:
    """The databases of one worker that no test uses now, and how to come to one."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._spare: list[str] = []
        self._left: sql.Composed | None = None

    def take(self) -> str:
        """Give the name of an empty database."""
        if self._spare:
            return self._spare.pop()
        name = f"test_{uuid4().hex[:12]}"
        self._server.create_database(name)
        return name

    def give_back(self, name: str) -> None:
        """End its sessions; keep it for the next test if it can be made as new."""
        if self._emptied(name):
            self._spare.append(name)
        else:
            self._server.drop_database(name)

    def drop(self) -> None:
        """Remove those that nobody uses."""
        while self._spare:
            self._server.drop_database(self._spare.pop())

    def _emptied(self, name: str) -> bool:
        try:
            with psycopg.connect(self._server.url(name), autocommit=True) as session:
                self._left = self._left or _what_is_left(session)
                session.execute(_EMPTY)
                return session.execute(self._left).fetchone() is None
        except psycopg.Error:
            return False


def _what_is_left(session: psycopg.Connection) -> sql.Composed:
    """Return the query for what a database has and a new one has not."""
    made = sql.SQL("SELECT {} FROM {} WHERE oid >= 16384")
    found = [
        made.format(sql.Literal(name), sql.Identifier(name))
        for (name,) in session.execute(_CATALOGUES)
    ]
    return sql.SQL(" UNION ALL ").join([sql.SQL(_LEFT), *found])
