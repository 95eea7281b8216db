"""What each store can do, as a table of docs/explanation/stores.md.

`make stores` runs the contract over all stores and writes the table from what came out.
A green run comes out as `backends` says, so a test holds the page to that, and asks
nothing twice.
"""

import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from pathlib import Path

from contract.backends import BACKENDS, Backend
from contract.capabilities import CAPABILITIES

__all__ = ("declared", "reported", "table", "written")

PAGE = Path(__file__).parent.parent / "docs/explanation/stores.md"
BEGIN, END = "<!-- written by make stores -->\n\n", "\n<!-- until here -->\n"

Answers = Mapping[tuple[str, str], str]
"""Why a store, by its name, cannot do what a test asks; empty where it can."""


def declared() -> Answers:
    """Return what the stores say of themselves."""
    return {
        (backend.name, test): backend.cannot.get(test, "")
        for backend in BACKENDS
        for tests in CAPABILITIES.values()
        for test in tests
    }


def reported(report: Path) -> Answers:
    """Return what came out of a run, from its file of JUnit's form."""
    answers = {}
    for case in ET.parse(report).iter("testcase"):
        properties = {it.get("name"): it.get("value") for it in case.iter("property")}
        if "store" in properties:
            test = case.get("name", "").partition("[")[0]
            answers[properties["store"] or "", test] = _answer(case)
    return answers


def _answer(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        raise SystemExit(f"{case.get('name')} failed; a table says what is so")
    passed_over = case.find("skipped")
    return "" if passed_over is None else passed_over.get("message", "")


def table(answers: Answers) -> str:
    """Return the table in Markdown, with a list of reasons below it."""
    reasons: list[str] = []
    head = ["", *(backend.title for backend in BACKENDS)]
    rows = [
        [what, *(_cell(backend, tests, answers, reasons) for backend in BACKENDS)]
        for what, tests in CAPABILITIES.items()
    ]
    lines = [head, ["---"] * len(head), *rows]
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *notes, ""])


def _cell(
    backend: Backend, tests: Iterable[str], answers: Answers, reasons: list[str]
) -> str:
    said = sorted({answers[backend.name, test] for test in tests} - {""})
    reasons += [reason for reason in said if reason not in reasons]
    return (
        f"no ({', '.join(str(reasons.index(it) + 1) for it in said)})"
        if said
        else "yes"
    )


def written(page: str) -> str:
    """Return the table as it stands in a page."""
    return page.partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    before, behind = text.partition(BEGIN)[0], text.partition(END)[2]
    new = table(reported(Path(sys.argv[1])))
    PAGE.write_text(f"{before}{BEGIN}{new}{END}{behind}", encoding="utf-8")
