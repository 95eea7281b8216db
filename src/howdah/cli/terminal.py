"""What a terminal is told, whatever it can write and whoever listens."""

import sys
from contextlib import suppress
from io import TextIOWrapper

__all__ = ("printable", "shown_address", "speak_plainly")


def speak_plainly() -> None:
    """Survive a terminal that cannot write what people are called."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    with suppress(ImportError):
        # Gives input() the arrow keys.
        import readline  # noqa: F401


def shown_address(host: str, port: int) -> str:
    """Return the address that a person opens."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - shown
    return f"http://{name}:{port}"


def printable(text: str) -> str:
    """Take from a text what a terminal might obey."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
