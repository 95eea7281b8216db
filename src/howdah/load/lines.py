"""The lines of a text, counted, read a block at a time, and seen before they are taken.

Knows no format: a line ends where the text says so, and a record may have several.
"""

import io
from collections.abc import Callable, Iterator
from itertools import chain

from howdah.errors import Invalid
from howdah.load.records import BATCH_TEXT

__all__ = ("Lines",)

# A longer line is no line of a table; without a limit one such file fills the memory.
LINE_LIMIT = 16 * 1024 * 1024
# So much text is shown at once: more of it would fall out of the processor's cache.
_ENOUGH = 96 * 1024


class Lines:
    """Lines to be taken one by one, or many at once where `ahead` has shown them.

    Their text comes from a function, piece by piece, until that has no more.
    """

    def __init__(self, text: Callable[[], str], *, taken: int = 0) -> None:
        self._text = text
        self._rest = ""
        self._ended = False
        self._size = 0
        self._read: list[str] = []
        self._at = 0
        self.count = taken
        """How many lines of the file were taken."""
        self.seen: list[str] = []
        """Those that were taken one by one since somebody cleared this."""

    def __iter__(self) -> Iterator[str]:
        while self._at < len(self._read) or self._more():
            line = self._read[self._at]
            self._at += 1
            self.count += 1
            self.seen.append(line)
            yield line

    def whole(self, most: int) -> str:
        """Show the text of so many lines, or of fewer where it is long; take none."""
        if self._read:
            self._rest = "".join(self._read[self._at :]) + self._rest
            self._read, self._at = [], 0
        while (found := self._rest.count("\n")) < most and len(self._rest) < _ENOUGH:
            if not (more := self._more_text()):
                return self._rest
            self._rest += more
        if found > most:
            behind = self._rest.split("\n", most)[-1]
            return self._rest[: -len(behind)] if behind else self._rest
        return self._rest[: self._rest.rfind("\n") + 1]

    def give_back(self) -> None:
        """Be as before the lines that were seen were taken."""
        self._rest = "".join([*self.seen, *self._read[self._at :]]) + self._rest
        self._read, self._at = [], 0
        self.count -= len(self.seen)
        self.seen.clear()

    def skip(self, text: str) -> None:
        """Take the lines of a text that `whole` has shown."""
        self._rest = self._rest[len(text) :]
        self.count += text.count("\n") + (not text.endswith("\n"))

    def ahead(self) -> Iterator[str]:
        """Show what comes, as far as the text of one batch goes, and take nothing."""
        return chain.from_iterable(self._blocks())

    def take(self, count: int) -> str:
        """Take so many lines that `ahead` has shown; return their text."""
        end = self._at + count
        text = "".join(self._read[self._at : end])
        self.count += count
        self._read = self._read[end:]
        self._at = 0
        return text

    def _blocks(self) -> Iterator[list[str]]:
        shown = self._read[self._at :]
        size = sum(map(len, shown))
        yield shown
        while size < BATCH_TEXT and (block := self._more()):
            size += self._size
            yield block

    def _more(self) -> list[str]:
        """Read another block; return its lines, none at the end of the text."""
        lines = self._block()
        self._read = self._read[self._at :] + lines
        self._at = 0
        return lines

    def _block(self) -> list[str]:
        """Read until a line is whole; keep what lies behind the last whole line."""
        text, self._rest = self._rest, ""
        end = _end_of_lines(text)
        while not end and (more := self._more_text()):
            self._check([text])
            text += more
            end = _end_of_lines(text)
        if end:
            text, self._rest = text[:end], text[end:]
        self._size = len(text)
        lines = list(io.StringIO(text, newline=""))
        if len(text) >= LINE_LIMIT:
            self._check(lines)
        return lines

    def _more_text(self) -> str:
        if self._ended:
            return ""
        try:
            text = self._text()
        except UnicodeError as exc:
            raise Invalid(
                f"line {self._known + 1} or one soon after it is not {exc}: "
                "give the file's --encoding"
            ) from exc
        self._ended = not text
        return text

    @property
    def _known(self) -> int:
        """How many lines were read so far."""
        return self.count + len(self._read) - self._at + self._rest.count("\n")

    def _check(self, lines: list[str]) -> None:
        for number, line in enumerate(lines, self._known + 1):
            if len(line) >= LINE_LIMIT:
                raise Invalid(
                    f"line {number} is longer than {LINE_LIMIT:,} characters; "
                    "is this a file of lines?"
                )


def _end_of_lines(text: str) -> int:
    """Return where the last whole line ends. A CR at the end may be half a line end."""
    return max(text.rfind("\n"), text.rfind("\r", 0, -1)) + 1
