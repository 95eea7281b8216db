"""The file for refused records: their own text, so that it can be mended and loaded.

It appears under its name only when the load is through, and never replaces another
file unasked.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from howdah.errors import Misconfigured
from howdah.load.terms import Source

__all__ = ("Leftovers", "leftovers")


class Leftovers:
    """Where refused records go. Without a path they go nowhere."""

    def __init__(self, path: Path | None, source: Source) -> None:
        self.path = path
        self._encoding = source.encoding
        self._file: TextIO | None = None

    @property
    def _temporary(self) -> Path:
        path = self.path or Path()
        return path.with_name(f".{path.name}.{os.getpid()}.part")

    def write(self, head: str, texts: list[str]) -> None:
        """Add records; the head comes before the first of them."""
        if self.path is None or not texts:
            return
        if self._file is None:
            self._file = self._create()
            self._file.write(_ended(head))
        self._file.writelines(map(_ended, texts))

    def flush(self) -> None:
        """Put on the disk what was written, before the rows are committed."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def publish(self) -> Path | None:
        """Give the file its name; return it, or None where nothing was refused."""
        if self._file is None or self.path is None:
            return None
        self._file.close()
        self._temporary.replace(self.path)
        return self.path

    def discard(self) -> None:
        """Remove what was not published."""
        if self._file is not None:
            self._file.close()
            self._temporary.unlink(missing_ok=True)

    def _create(self) -> TextIO:
        try:
            return self._temporary.open(
                "w", encoding=self._encoding, errors="surrogateescape", newline=""
            )
        except OSError as exc:
            raise Misconfigured(
                f"{self.path} cannot be written: {exc.strerror}"
            ) from None


@contextmanager
def leftovers(path: Path | None, source: Source, *, force: bool) -> Iterator[Leftovers]:
    """Give the place for refused records; refuse a path that is already in use."""
    if path is not None:
        _check(path, source, force=force)
    kept = Leftovers(path, source)
    try:
        yield kept
    finally:
        kept.discard()


def _check(path: Path, source: Source, *, force: bool) -> None:
    if isinstance(source.file, Path) and _same(path, source.file):
        raise Misconfigured(
            f"{path} is the file that is loaded; name another one for the refused rows"
        )
    if path.exists() and not force:
        raise Misconfigured(f"{path} exists already; name another one or say --force")
    if not path.absolute().parent.is_dir():
        raise Misconfigured(f"{path.parent} is no folder; make it first")


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _ended(text: str) -> str:
    return text if text.endswith(("\n", "\r")) or not text else text + "\n"
