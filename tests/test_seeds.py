"""The page about the seeds: what it names is there, and it leaves out no snippet."""

import ast
import re
from functools import cache
from itertools import zip_longest
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/explanation/seeds.md"
SEEDS = ROOT.parent / "shared/seeds"

REFERENCES = re.compile(r"^\[(\w+)\]: (\S+)$", re.MULTILINE)
TEST = re.compile(r"\[(test_\w+)\]\[(\w+)\]")
SECTION = re.compile(
    r"^## Seed (\d+)[^\n]*\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL
)
FENCE = re.compile(r"\s*```")
HEADING = re.compile(r"(#+) (?:Step \d+: )?(.*)")


def sections():
    return dict(SECTION.findall(PAGE.read_text(encoding="utf-8")))


def rows(section):
    """The cells of a section's table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines[1:]]


@cache
def functions(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = ast.FunctionDef | ast.AsyncFunctionDef
    return {each.name for each in tree.body if isinstance(each, defined)}


def test_every_test_that_is_named_is_in_its_file():
    text = PAGE.read_text(encoding="utf-8")
    files = {name: PAGE.parent / path for name, path in REFERENCES.findall(text)}

    missing = [
        f"{test} in {file}"
        for test, file in TEST.findall(text)
        if test not in functions(files[file].resolve())
    ]

    assert missing == []
    assert {file for _, file in TEST.findall(text)} == {*files}


@pytest.mark.parametrize("seed", sections())
def test_every_snippet_has_a_place_and_a_test(seed):
    lacking = [
        what
        for what, place, tests, _ in rows(sections()[seed])
        if "](" not in place or not TEST.search(tests)
    ]

    assert lacking == []


@pytest.mark.skipif(not SEEDS.is_dir(), reason="the seeds are not beside the project")
@pytest.mark.parametrize("seed", sections())
def test_every_heading_with_code_has_a_row(seed):
    (path,) = SEEDS.glob(f"{seed}_*")

    for heading, row in zip_longest(headings(path), rows(sections()[seed])):
        assert row[0].endswith(heading)


@pytest.mark.skipif(not SEEDS.is_dir(), reason="the seeds are not beside the project")
def test_every_seed_has_a_section():
    assert [path.name[:3] for path in sorted(SEEDS.iterdir())] == [*sections()]


def headings(path):
    """The headings under which a seed has code, in their order."""
    inside, heading, found = False, "", []
    for line in path.read_text(encoding="utf-8").splitlines():
        if FENCE.match(line):
            inside = not inside
            if inside and found[-1:] != [heading]:
                found.append(heading)
        elif not inside and (match := HEADING.match(line)):
            heading = match[2]
    return found
