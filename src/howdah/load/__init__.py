"""Rows from a file into a table: read, validate, COPY, and say which were refused.

    ahead.py      what makes the next batch while one is copied
    reader.py     a file -> batches with their line numbers; knows no model
    lines.py      a text -> its lines, counted
    columns.py    a text of CSV -> columns at one stroke, where its lines are rows
    separated.py  lines of CSV -> sheets, or records
    ndjson.py     lines of JSON -> sheets, or records
    sheets.py     rows as columns, which can be read as records again
    records.py    records, those that cannot be read, and why
    plan.py       the columns of a file -> fields of the schema -> columns of the table
    relations.py  names of related rows -> their keys
    rules.py      a schema -> what it demands of each field, where that says it all
    straight.py   sheets -> text for COPY, where every value of a column is plain
    verbatim.py   lines of the file -> text for COPY, where every value may stay
    spelling.py   values -> texts that PostgreSQL reads as the same values
    validate.py   records -> rows for COPY; says what is wrong with the others
    flow.py       pieces of text -> one COPY
    copying.py    rows -> COPY under savepoints; finds the rows that the table refuses
    leftovers.py  refused records -> a file that can be mended and loaded again
    loading.py    one load, from the first line to the commit
    terms.py      what a caller hands in and gets back

It knows nothing of terminals: the command line is a skin over `load`.
"""

from howdah.load.loading import load
from howdah.load.terms import (
    Format,
    LoadOptions,
    Progress,
    Refusal,
    Report,
    Source,
    Target,
    format_of,
)

__all__ = (
    "Format",
    "LoadOptions",
    "Progress",
    "Refusal",
    "Report",
    "Source",
    "Target",
    "format_of",
    "load",
)
