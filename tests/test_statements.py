"""Statements hold no value: only the shape of a request decides their text."""

import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Enum, Integer, MetaData, Table, Text
from sqlalchemy.dialects import postgresql

from howdah import statements
from howdah.errors import Misconfigured
from howdah.paging import KeysetPage, OffsetPage
from howdah.query import Filter, Query, Sort
from howdah.statements import (
    MATCH,
    Layout,
    Target,
    filter_values,
    key_name,
    position_name,
)
from howdah.statements.conditions import SEARCH


class Size(enum.Enum):
    SMALL = "it's small"


NOTES = Table(
    "notes",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("title", Text),
    Column("size", Enum(Size)),
)


SEARCHED = Query(search="x")


def layout(table: Table = NOTES, **options) -> Layout:
    fields = {column.key: column for column in table.columns}
    return Layout(table=table, columns=fields, fields=fields, **options)


def compiled(statement):
    return statement.compile(dialect=postgresql.asyncpg.dialect())


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        (statements.get(layout()), {key_name(0)}),
        (statements.list_rows(layout(), Query(), OffsetPage()), set()),
        (
            statements.list_rows(layout(), Query(), OffsetPage(skip=1, limit=101)),
            {"limit", "skip"},
        ),
        (statements.list_rows(layout(), Query(), KeysetPage()), set()),
        (statements.list_rows(layout(), Query(), KeysetPage(limit=999)), {"limit"}),
        (
            statements.list_rows(layout(), Query(), KeysetPage(position=(1,))),
            {position_name(0)},
        ),
        (
            statements.list_rows(
                layout(search=(NOTES.c.title,)), SEARCHED, KeysetPage()
            ),
            {"limit", SEARCH},
        ),
        (statements.count(layout(), Query()), set()),
        (statements.create(layout(), ["title"]), {"v_title"}),
        (statements.create_many(layout(), ["title"]), {"v_title"}),
        (statements.update_row(layout(), ["title"]), {key_name(0), "v_title"}),
        (statements.hard_delete(layout()), {key_name(0)}),
        (statements.hard_delete(layout(), matched=True), {key_name(0), MATCH}),
    ],
)
def test_a_statement_asks_for_its_parameters_and_no_others(statement, parameters):
    assert set(compiled(statement).positiontup) == parameters


@pytest.mark.parametrize(
    ("filters", "is_known"),
    [
        ((), True),
        ((Filter(field="title", operator="gte", value="a"),), True),
        ((Filter(field="title", operator="contains", value="a"),), False),
        ((Filter(field="size", operator="eq", value="small"),), False),
    ],
)
def test_a_plan_is_kept_for_all_values_only_where_they_cannot_make_it_a_bad_one(
    filters, is_known
):
    query = Query(filters=filters, sort=(Sort(field="title"),))

    known = layout(filters={it.key: Target(column=it) for it in NOTES.columns})
    statement = statements.list_rows(known, query, KeysetPage(limit=20))

    assert ("limit" not in compiled(statement).positiontup) == is_known


def test_the_value_of_an_enum_is_quoted():
    assert "THEN 'it''s small'" in compiled(statements.get(layout())).string


@given(st.text())
def test_a_pattern_finds_its_own_text_alone(words):
    pattern = filter_values(Query(search=words))[SEARCH]

    plain, rest = "", iter(pattern[1:-1])
    for character in rest:
        assert character not in "%_"
        plain += next(rest) if character == "\\" else character
    assert (plain, pattern[0], pattern[-1]) == (words, "%", "%")


def test_a_table_without_a_key_is_refused():
    table = Table("loose", MetaData(), Column("a", Integer), Column("b", Integer))

    with pytest.raises(Misconfigured, match="table 'loose' has no primary key"):
        _ = layout(table).keys


def test_a_table_without_soft_delete_cannot_soft_delete():
    with pytest.raises(Misconfigured, match="table 'notes' has no soft delete"):
        statements.soft_delete(layout())
