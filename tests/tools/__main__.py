"""What tools see of an app: `echo ddtrace | python -m tools` prints it for both ways.

Tools patch FastAPI for all of a process, and before the app is made. Each way of each
tool has a process of its own, in which no tool and nothing of Howdah has been imported.
Only what takes long to import, and is the same for all, is there before.
"""

import asyncio
import gc
import importlib
import json
import os
import sys
import traceback
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import httpx  # noqa: F401
import sqlmodel  # noqa: F401

SWITCH = "HOWDAH_DISPATCH"
WAYS: tuple[Mapping[str, str], ...] = ({}, {SWITCH: "fastapi"})


def seen(tool: str, settings: Mapping[str, str]) -> Any:
    """Return what a tool sees, or the text of what it stumbled over."""
    os.environ.pop(SWITCH, None)
    os.environ.update(settings)
    try:
        return asyncio.run(importlib.import_module(f"tools.{tool}").seen())
    except Exception:  # noqa: BLE001 - the test is to tell of any
        return traceback.format_exc()


def in_a_process(tool: str, settings: Mapping[str, str]) -> Any:
    with ProcessPoolExecutor(1, get_context("fork")) as process:
        return process.submit(seen, tool, settings).result()


if __name__ == "__main__":
    # A fifth of the time, for garbage that the end of a process takes away.
    gc.disable()
    for line in sys.stdin:
        told = [in_a_process(line.strip(), way) for way in WAYS]
        print(json.dumps(told), flush=True)  # noqa: T201
