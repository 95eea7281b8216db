"""A very small project with migrations, for the tests of migrations and the plugin."""

from pathlib import Path

ENV = """
from sqlalchemy import Column, Integer, MetaData, Table
from howdah.migrations import run
from howdah.settings import Settings, Timeouts

metadata = MetaData()
Table("things", metadata, Column("id", Integer, primary_key=True))
run(metadata, Settings().url{options})
"""
INI = """
[alembic]
script_location = %(here)s/migrations
path_separator = os

[loggers]
keys = root

[handlers]
keys = console

[formatters]
keys =

[logger_root]
level = INFO
handlers = console

[handler_console]
class = StreamHandler
args = (sys.stderr,)
"""
REVISION = """
from alembic import op

revision = {revision!r}
down_revision = {before!r}


def upgrade():
    {statements}


def downgrade():
    pass
"""


def make_project(folder: Path, *revisions: str, options: str = "") -> Path:
    """Write a project whose migrations run these statements; return its alembic.ini.

    Before the first, a table `things` is made, and a table `runs` with a row for it.
    """
    first = "CREATE TABLE things (id serial PRIMARY KEY)"
    runs = "CREATE TABLE runs AS SELECT 1 AS number"
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    before = None
    for number, statements in enumerate([f"{first}; {runs}", *revisions], start=1):
        lines = [f"op.execute({text!r})" for text in statements.split("; ")]
        text = REVISION.format(
            revision=f"{number:03}", before=before, statements="\n    ".join(lines)
        )
        before = f"{number:03}"
        (versions / f"{before}_made.py").write_text(text)
    (folder / "migrations" / "env.py").write_text(ENV.format(options=options))
    (folder / "migrations" / "script.py.mako").write_text(
        '"""${message}"""\n\nimport sqlalchemy as sa\nfrom alembic import op\n'
        "${imports or ''}\n"
        "revision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n\n\n"
        "def upgrade():\n    ${upgrades or 'pass'}\n\n\n"
        "def downgrade():\n    ${downgrades or 'pass'}\n"
    )
    ini = folder / "alembic.ini"
    ini.write_text(INI)
    return ini
