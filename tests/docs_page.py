"""Runs the code of one page of the docs, as a reader who copies it would.

Python blocks share one namespace and one event loop, and may await at the top level.
Console blocks run line by line in a shell, in the folder of the page.
"""

import ast
import asyncio
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^```\w+ ([\w./-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    line: int
    text: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        yield Block(match[2], line, textwrap.dedent(match[3]) + "\n")


def commands(block: Block) -> list[str]:
    joined = block.text.replace("\\\n", " ")
    return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]


def run_in_shell(command: str) -> None:
    subprocess.run(["bash", "-euc", command], check=True)


async def run(page: Path, passed_over: frozenset[str]) -> None:
    # A module of its own, as SQLModel and pickle look a class's module up by name.
    module = ModuleType("page")
    sys.modules["page"] = module
    for block in blocks(page):
        if block.language == "python":
            source = "\n" * (block.line - 1) + block.text
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            code = compile(source, str(page), "exec", flags=flags)
            result = eval(code, module.__dict__)
            if inspect.iscoroutine(result):
                await result
        elif block.language == "console":
            for command in commands(block):
                if command not in passed_over:
                    run_in_shell(command)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), frozenset(sys.argv[2:])))
