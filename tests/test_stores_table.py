"""The table of what stores can do, held to the contract that it tells of."""

import ast
from collections import Counter
from pathlib import Path

from contract.backends import BACKENDS
from contract.capabilities import CAPABILITIES
from stores_table import PAGE, declared, reported, table, written

CONTRACT = Path(__file__).parent / "contract"
# One asks all stores the same in one go, whatever comes to its mind; the other asks
# which way requests go, and nothing of a store.
WHOLE = {"test_every_store_gives_the_same_answers", "test_no_request_goes_the_thin_way"}


def test_the_page_says_what_the_stores_say():
    assert written(PAGE.read_text(encoding="utf-8")) == table(declared())


def test_every_test_of_the_contract_is_of_one_capability():
    asked = {
        each.name
        for path in CONTRACT.glob("test_*.py")
        for each in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        and each.name.startswith("test_")
    }
    told = Counter(test for tests in CAPABILITIES.values() for test in tests)

    assert {*told} == asked - WHOLE
    assert {*told.values()} == {1}


def test_a_store_can_do_all_that_a_capability_is_or_nothing():
    for backend in BACKENDS:
        for what, tests in CAPABILITIES.items():
            lacking = {test for test in tests if test in backend.cannot}
            assert lacking in (set(), {*tests}), (backend.name, what)
        assert {*backend.cannot} <= {test for _, test in declared()}


def test_a_report_says_what_came_out(tmp_path):
    store = '<properties><property name="store" value="fast"/></properties>'
    (tmp_path / "report.xml").write_text(
        f"<testsuites><testsuite>"
        f'<testcase name="test_a[fast-x]">{store}</testcase>'
        f'<testcase name="test_b[fast]">{store}<skipped message="why"/></testcase>'
        f'<testcase name="test_of_no_store"/>'
        f"</testsuite></testsuites>"
    )

    answers = reported(tmp_path / "report.xml")

    assert answers == {("fast", "test_a"): "", ("fast", "test_b"): "why"}
