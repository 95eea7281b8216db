"""An app as a worker of `howdah serve` runs it: found by its name, then left in peace.

While an app starts, nearly all that it makes is there to stay, and the garbage
collector would go through it again and again, then and at every full collection.
Knows no server and no command line.
"""

import gc
import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Awaitable
from pathlib import Path
from time import monotonic
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from howdah.errors import Misconfigured

__all__ = ("APP", "PROXIES", "app", "app_behind_proxies", "find_app", "settled")

APP = "HOWDAH_APP"
"""The variable that tells workers which app they serve."""

PROXIES = "FORWARDED_ALLOW_IPS"
"""The variable that tells, as uvicorn has it, whose X-Forwarded headers to believe."""

_SETTLED = frozenset({"lifespan.startup.complete", "lifespan.startup.failed"})


def app() -> ASGIApp:
    """Return the app of this worker; a factory, for servers that import by name."""
    gc.disable()
    _end_with_parent()
    return settled(find_app(os.environ[APP]))


def _end_with_parent() -> None:
    """End in good order when the process that started the workers has been killed.

    Left alone they would keep the port, and whoever comes next could not have it.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="howdah-parent", daemon=True).start()


def app_behind_proxies() -> ASGIApp:
    """Return the app of a worker of Granian; uvicorn reads a proxy's headers itself."""
    from granian.utils.proxies import wrap_asgi_with_proxy_headers

    wrapped: ASGIApp = wrap_asgi_with_proxy_headers(
        app(), trusted_hosts=os.environ[PROXIES]
    )
    return wrapped


def find_app(name: str) -> Any:
    """Import an app, `module:name`, from this folder, as uvicorn does."""
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), attribute or "app")
    except (ModuleNotFoundError, AttributeError) as exc:
        ours = isinstance(exc, AttributeError) or module.startswith(exc.name or ".")
        if not ours:
            raise
        raise Misconfigured(
            f"there is no app {name} in {Path.cwd()}; go to the project's "
            'folder, or name it: [tool.howdah] app = "module:name" in pyproject.toml'
        ) from exc


def settled(served: ASGIApp) -> ASGIApp:
    """Return the app, with what its start-up made frozen for the collector."""
    telemetry = _Telemetry(served)

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            if message["type"] in _SETTLED:
                _settle()
            await send(message)

        try:
            await served(scope, receive, tell)
        finally:
            gc.enable()

    # No coroutine of its own: a request would pay for it.
    def serve(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            return lifespan(scope, receive, send)
        if telemetry.is_off():
            # FastAPI's own word for a request that nobody is told of.
            scope.setdefault("fastapi.telemetry", None)
        return served(scope, receive, send)

    return serve


class _Telemetry:
    """Whether FastAPI has anybody to tell of requests.

    It looks for a provider at each of them, in the environment too, which takes longer
    than to find the route. Here it looks once a second.
    """

    def __init__(self, served: ASGIApp) -> None:
        watching = getattr(served, "_native_telemetry", None)
        self._enabled = getattr(watching, "enabled", lambda: True)
        self._off = False
        self._until = 0.0

    def is_off(self) -> bool:
        """Say whether there was nobody when it looked last."""
        now = monotonic()
        if now >= self._until:
            self._off, self._until = not self._enabled(), now + _GLANCE
        return self._off


_GLANCE = 1.0  # seconds


# Requests leave some objects behind that only the collector finds; looking for them
# after every 700, as Python does, is a twentieth of a worker's time.
_YOUNG = 10_000


def _settle() -> None:
    """Take what is there out of every later collection, and have fewer of them.

    What is garbage already stays: a few megabytes, for which a full collection would
    keep the first request waiting.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG)
    gc.enable()
