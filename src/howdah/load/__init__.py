"""Rows from a file into a table: read, validate, COPY, and say which were refused.

    ahead.py      what makes the next batch while one is copied
    reader.py     a file -> records with their line numbers; knows no model
    plan.py       the columns of a file -> fields of the schema -> columns of the table
    relations.py  names of related rows -> their keys
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
