"""What a search finds its rows by: indexes in models, and in migrations."""

import os
import subprocess
import sys

import psycopg
import pytest
from migrating import make_project
from sqlalchemy import Column, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from howdah import Misconfigured
from howdah.search import FullText, full_text_column, search_vector, trigram_index

MODELS = """
from sqlalchemy import CHAR, MetaData, Text
from sqlmodel import Field, SQLModel

from howdah.migrations import run
from howdah.search import search_vector, trigram_index
from howdah.settings import Settings


@search_vector("name", "inSide", "body", "code", "last", language="english")
class Thing(SQLModel, table=True):
    __tablename__ = "things"
    __table_args__ = (trigram_index("ix_things_name", "name", "inSide"),)

    id: int | None = Field(default=None, primary_key=True)
    name: str | None = Field(max_length=50)
    inSide: str | None
    body: str | None = Field(sa_type=Text)
    code: str | None = Field(sa_type=CHAR(3))
    last: str | None


class Run(SQLModel, table=True):
    __tablename__ = "runs"

    number: int | None = Field(primary_key=True)


SQLModel.metadata.remove(Run.__table__)
run(
    SQLModel.metadata,
    Settings().url,
    include_name=lambda name, kind, _: kind != "table" or name != "runs",
)
"""


def alembic(folder, url, *arguments):
    ran = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=folder,
        env={**os.environ, "DATABASE_URL": url, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def query(url, statement):
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement).fetchall()


def test_autogenerate_writes_both_indexes_once_and_for_all(tmp_path, database_url):
    make_project(tmp_path)
    (tmp_path / "migrations" / "env.py").write_text(MODELS)
    alembic(tmp_path, database_url, "upgrade", "head")

    alembic(tmp_path, database_url, "revision", "--autogenerate", "-m", "search")
    written = alembic(tmp_path, database_url, "upgrade", "head", "--sql")
    alembic(tmp_path, database_url, "upgrade", "head")

    assert "CREATE EXTENSION IF NOT EXISTS pg_trgm;" in written
    assert "No new upgrade operations" in alembic(tmp_path, database_url, "check")
    query(
        database_url,
        "INSERT INTO things (name, \"inSide\") VALUES ('Red Fox', NULL) RETURNING id",
    )
    assert query(database_url, "SELECT search_vector FROM things") == [
        ("'fox':2A 'red':1A",)
    ]
    alembic(tmp_path, database_url, "downgrade", "-1")


BUILT = """
from alembic import op
from howdah.migrations import create_index_concurrently

revision, down_revision = "002", "001"


def upgrade():
    create_index_concurrently("ix_runs", "runs", ["number"])
    op.execute("INSERT INTO runs SELECT setting::int FROM pg_settings "
               "WHERE name = 'lock_timeout'")


def downgrade():
    pass
"""


def test_an_index_is_built_while_others_write(tmp_path, database_url):
    make_project(tmp_path)
    alembic(tmp_path, database_url, "upgrade", "head")
    (tmp_path / "migrations" / "versions" / "002_made.py").write_text(BUILT)
    # What an attempt that failed leaves behind.
    broken = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_runs'"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE INDEX ix_runs ON runs (number)")
        connection.execute(f"{broken}::regclass")

    shown = alembic(tmp_path, database_url, "upgrade", "001:002", "--sql")
    alembic(tmp_path, database_url, "upgrade", "head")

    assert "COMMIT;\n\nSET lock_timeout = 0" in shown
    assert "CREATE INDEX CONCURRENTLY ix_runs ON runs (number);" in shown
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_runs'::regclass"
    assert query(database_url, valid) == [(True,)]
    limits = query(database_url, "SELECT number FROM runs ORDER BY number")
    assert limits == [(1,), (4000,)], "the limits are back"


class Base(DeclarativeBase):
    pass


@search_vector("title", language="german", column="words", index="ix_words")
class Page(Base):
    __tablename__ = "search_pages"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    body: Mapped[str] = mapped_column(Text)


def test_a_model_does_not_carry_its_search_vector():
    assert not hasattr(Page, "words")
    assert Page.__table__.c.words.computed is not None
    assert {index.name for index in Page.__table__.indexes} == {"ix_words"}


def test_the_language_of_a_column_is_known_by_the_column():
    found = full_text_column(Page.__table__, FullText("words"))

    assert (found.column, found.language) == (Page.__table__.c.words, "german")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: trigram_index("ix_none"), "index 'ix_none' has no column"),
        (lambda: search_vector("a", language="'; DROP"), r"is no language"),
        (
            lambda: FullText(language="English"),
            "'English' is no language of a text search; say one",
        ),
        (lambda: search_vector(language="english")(Page), "names no field"),
        (
            lambda: search_vector("id", language="english")(Page),
            "names 'id', which is no text of it; it has title, body",
        ),
        (
            lambda: full_text_column(Page.__table__, FullText()),
            "has no column 'search_vector' .* @search_vector",
        ),
        (
            lambda: full_text_column(Page.__table__, FullText("title")),
            "column 'title' of 'search_pages' is no TSVECTOR",
        ),
    ],
)
def test_what_cannot_be_searched_is_said(make, said):
    with pytest.raises(Misconfigured, match=said):
        make()


def test_a_vector_of_somebody_else_needs_a_language():
    table = Table("kept", MetaData(), Column("words", TSVECTOR()))

    with pytest.raises(Misconfigured, match="which language column 'words'"):
        full_text_column(table, FullText("words"))

    assert full_text_column(table, FullText("words", "simple")).language == "simple"
